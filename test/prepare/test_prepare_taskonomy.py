"""`asymfusion prepare taskonomy` on generated views in the official layout."""

import shutil

import cv2
import numpy as np
import pytest
from generated_views import domain_file, view_name, write_taskonomy
from helpers import refused

from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.errors import ConfigError

BUILDINGS = ("ackerman", "beechwood", "corozal")
VIEWS, SIZE = 4, 16


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_taskonomy(tmp_path_factory.mktemp("views") / "taskonomy", BUILDINGS, VIEWS, SIZE)


@pytest.fixture
def root(source, tmp_path):
    """A tree that a test may damage."""
    return shutil.copytree(source, tmp_path / "taskonomy")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "made"


def call(root, output, *options, domains=("depth", "shade")):
    words = ["prepare", "taskonomy", "--root", root, "--output", output, "--train", 6, "--val", 3]
    return [str(word) for word in (*words, "--domains", *domains, *options)]


def stored(root, domain, name):
    return cv2.imread(str(domain_file(root, domain, name)), cv2.IMREAD_UNCHANGED)


def put(root, domain, name, values, dtype):
    assert cv2.imwrite(str(domain_file(root, domain, name)), np.array(values, dtype))


def test_the_units_of_each_domain(root, output):
    name = view_name("ackerman", 0)
    rows = [[0, 512, 1024, 65535]] * 2
    put(root, "depth_zbuffer", name, rows, np.uint16)
    put(root, "edge_texture", name, [[0, 257, 11355, 65535]] * 2, np.uint16)
    put(root, "edge_occlusion", name, [[0, 257, 11584, 65535]] * 2, np.uint16)
    put(root, "normal", name, [[[127, 127, 254], [0, 10, 20], [1, 2, 3], [4, 5, 6]]] * 2, np.uint8)  # BGR
    put(root, "reshading", name, [[[v] * 3 for v in (0, 100, 200, 255)]] * 2, np.uint8)
    put(root, "rgb", name, [[[1, 2, 3]] * 4] * 2, np.uint8)
    lists = output.parent / "train.txt"
    lists.write_text(f"rgb/{name}_domain_rgb.png\n")
    domains = ("depth", "normal", "shade", "edge", "texture")
    assert main(call(root, output, "--split-list", f"train={lists}", domains=domains)) == 0
    frame = Folder(output).read(name)
    assert frame.label is None
    assert frame.images["depth"][0].tolist() == [0, 1, 2, 0]  # metres; 65535 was not measured
    assert frame.images["texture"][0].tolist() == pytest.approx([0, 1, 44.183, 255], abs=1e-3)
    assert frame.images["edge"][0].tolist() == pytest.approx([0, 1, 45.074, 255], abs=1e-3)
    assert frame.images["normal"][0, 0].tolist() == [254, 127, 127]  # RGB: along x
    assert frame.images["shade"][0].tolist() == [0, 100, 200, 255]
    assert frame.images["rgb"][0, 0].tolist() == [3, 2, 1]


def test_the_other_depth_has_its_official_name(root, output):
    assert main(call(root, output, domains=("depth_euclidean",))) == 0
    name = Folder(output).names("val")[0]
    euclidean = stored(root, "depth_euclidean", name)
    expected = np.where(euclidean == 65535, 0, euclidean) / 512
    assert np.allclose(Folder(output).read(name).images["depth"], expected)


def test_no_building_is_in_both_parts(root, output, capsys):
    assert main(call(root, output)) == 0
    folder = Folder(output)
    parts = {split: folder.names(split) for split in ("train", "val")}
    assert {split: len(names) for split, names in parts.items()} == {"train": 6, "val": 3}
    places = {split: {name.split("/")[0] for name in names} for split, names in parts.items()}
    assert not places["train"] & places["val"]
    assert "train 6 of 2 buildings, val 3 of 1 building" in capsys.readouterr().out
    again = output.with_name("again")
    assert main(call(root, again)) == 0  # the same draw
    assert (again / "train.txt").read_text() == (output / "train.txt").read_text()


def test_images_that_need_no_change_are_links(root, output):
    assert main(call(root, output)) == 0
    name = Folder(output).names("train")[0]
    assert (output / "rgb" / f"{name}.png").samefile(domain_file(root, "rgb", name))


def test_an_interrupted_call_goes_on(root, output, capsys):
    assert main(call(root, output)) == 0
    name = Folder(output).names("train")[0]
    (output / "shade" / f"{name}.png").unlink()
    assert main(call(root, output)) == 0
    assert "9 views, 1 of them made now" in capsys.readouterr().out
    said = refused(capsys, *call(root, output, "--seed", "1"))
    assert "describes another data set, or one made with other options" in said


@pytest.mark.parametrize(
    "lines",
    ["{domain}/%s_domain_{domain}.png", "%s", "rgb/%s_domain_rgb.png", "reshading/%s_domain_reshading.png"],
)
def test_lists_of_views(root, output, lines):
    """CEN's files, which have {domain} in a path, and plainer ones."""
    lists = {
        "train": [view_name("beechwood", 3), view_name("beechwood", 1)],
        "val": [view_name("corozal", 0)],
    }
    for split, names in lists.items():
        output.with_name(f"{split}.list").write_text(
            "".join(lines.replace("%s", name) + "\n" for name in names)
        )
    files = [f"{split}={output.with_name(split)}.list" for split in lists]
    assert main(call(root, output, "--split-list", *files)) == 0
    assert {split: Folder(output).names(split) for split in lists} == lists


def test_a_tree_of_one_building_without_its_folder(root, output, capsys):
    """The published sample, with lists that share its building."""
    flat = root.with_name("sample")
    for domain in ("rgb", "reshading", "depth_zbuffer"):
        shutil.copytree(root / domain / "ackerman", flat / domain)
    said = refused(capsys, *call(flat, output))
    assert "all views are of one building" in said
    files = []
    for split, number in (("train", 0), ("val", 1)):
        path = output.with_name(f"{split}.list")
        path.write_text(f"{{domain}}/point_0_view_{number}_domain_{{domain}}.png\n")
        files.append(f"{split}={path}")
    said = refused(capsys, *call(flat, output, "--split-list", *files))
    assert "train and val share the one building of this tree" in said
    assert "--shared-buildings" in said
    assert main(call(flat, output, "--split-list", *files, "--shared-buildings")) == 0
    assert Folder(output).names("val") == ["point_0_view_1"]


def test_the_official_list_of_buildings(root, output, capsys):
    official = output.with_name("split.csv")
    official.write_bytes(
        b"id,train,val,test\rbeechwood,1,0,0\rackerman,0,1,0\rcorozal,0,0,1\relsewhere,1,0,0\r"
    )
    assert main(call(root, output, "--split-list", official)) == 0
    folder = Folder(output)
    assert {name.split("/")[0] for name in folder.names("train")} == {"beechwood"}
    assert {name.split("/")[0] for name in folder.names("test")} == {"corozal"}
    assert len(folder.names("val")) == 3  # of 4, as --val says
    official.write_text("id,train,val,test\nbeechwood,1,1,0\n")
    assert "line 2: 'beechwood,1,1,0' does not put" in refused(
        capsys, *call(root, output, "--split-list", official)
    )


def test_views_that_a_domain_lacks(root, output, capsys):
    lacking = view_name("beechwood", 2)
    domain_file(root, "reshading", lacking).unlink()
    domain_file(root, "depth_zbuffer", view_name("beechwood", 3)).unlink()
    said = refused(capsys, *call(root, output))
    assert str(domain_file(root, "reshading", lacking)) in said
    assert "2 views lack a domain (depth_zbuffer 1, reshading 1) and 10 have all" in said
    assert not output.exists()
    assert main(call(root, output, "--unusable", "skip")) == 0
    listed = (output / "skipped.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in listed] == [lacking, view_name("beechwood", 3)]
    assert "2 views are left out" in capsys.readouterr().out


@pytest.mark.parametrize("shards", [False, True])
@pytest.mark.parametrize(
    ("domain", "damage", "said"),
    [
        ("reshading", "size", "is 8x16, but "),
        ("depth_zbuffer", "invalid", "has no depth: each of its pixels is 65535 or 0"),
        ("rgb", "cut", "does not decode as an image"),
        ("rgb", "middle", "does not decode as an image"),
        ("depth_zbuffer", "8bit", "is 1 channel of 8 bits; depth has one channel of 16 bits"),
        ("rgb", "grey", "is 1 channel of 8 bits; rgb has red, green and blue"),
    ],
)
def test_an_image_that_cannot_be_used(root, output, capsys, domain, damage, said, shards):
    """Named; the others are made all the same, and with skip the view is left out."""
    assert main(call(root, output.with_name("whole"))) == 0
    name = Folder(output.with_name("whole")).names("train")[2]
    path = domain_file(root, domain, name)
    for split in ("train", "val"):  # the same, whatever is damaged
        shutil.copy(output.with_name("whole") / f"{split}.txt", output.with_name(f"{split}.list"))
    shutil.rmtree(output.with_name("whole"))
    path.with_suffix(".new").write_bytes(path.read_bytes())  # no link
    path.with_suffix(".new").replace(path)
    data = path.read_bytes()
    if damage == "cut":
        path.write_bytes(data[:-20])
    elif damage == "middle":
        path.write_bytes(data[: len(data) // 2] + bytes(40) + data[len(data) // 2 + 40 :])
    else:
        values = {
            "size": np.zeros((16, 8, 3), np.uint8),
            "invalid": np.full((SIZE, SIZE), 65535, np.uint16),
            "8bit": np.ones((SIZE, SIZE), np.uint8),
            "grey": np.ones((SIZE, SIZE), np.uint8),
        }[damage]
        assert cv2.imwrite(str(path), values)
    options = ["--split-list", *(f"{split}={output.with_name(split)}.list" for split in ("train", "val"))]
    options += ["--shards", "2"] if shards else []
    error = refused(capsys, *call(root, output, *options))
    assert str(path) in error
    assert said in error
    assert "run the same command again" in error
    assert not (output / "dataset.yaml").exists()
    assert main(call(root, output, *options, "--unusable", "skip")) == 0
    assert name in (output / "skipped.tsv").read_text()
    assert Folder(output).name == "taskonomy"
    if not shards:
        assert len(Folder(output).names("train")) == 5
        assert name not in Folder(output).names("train")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--domains", "depht"], "'depht' is no input of the translation to rgb: use some of depth, normal"),
        (["--domains", "rgb"], "'rgb' is no input"),
        (["--domains", "depth", "depth_euclidean"], "depth is given twice (depth_zbuffer, depth_euclidean)"),
        (["--buildings", "ackermann"], "no views of 'ackermann' (there are ackerman, beechwood, corozal)"),
        (["--buildings", "ackerman"], "all views are of one building, ackerman"),
        (["--shards", "0"], "--shards is 0"),
        (["--split-list", "a.txt", "b.txt"], "give SPLIT=FILE for each list"),
        (["--split-list", "train=missing.txt"], "missing.txt cannot be read"),
    ],
)
def test_calls_that_are_refused(source, output, capsys, options, said):
    assert said in refused(capsys, *call(source, output, *options))
    assert not output.exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ackerman/point_0_view_0\nrgb\n", "line 2: 'rgb' is no view"),
        ("../point_0_view_0\n", "line 1: '../point_0_view_0' is no view"),
        (
            "ackerman/point_0_view_0\nackerman/point_0_view_0\n",
            "line 2: ackerman/point_0_view_0 is in line 1 too",
        ),
        ("nowhere/point_0_view_0\n", "none of the 1 views of"),
        (
            "ackerman/point_0_view_0\nackerman/point_9_view_0\n",
            "ackerman/point_9_view_0 is listed, but not in",
        ),
        ("\n", "lists no views"),
    ],
)
def test_lists_that_are_wrong(source, output, capsys, text, said):
    path = output.with_name("train.list")
    path.write_text(text)
    assert said in refused(capsys, *call(source, output, "--split-list", f"train={path}"))


def test_a_building_in_both_lists(source, output, capsys):
    files = []
    for split, number in (("train", 0), ("val", 1)):
        path = output.with_name(f"{split}.list")
        path.write_text(f"{view_name('ackerman', number)}\n")
        files.append(f"{split}={path}")
    said = refused(capsys, *call(source, output, "--split-list", *files))
    assert "train and val share the building ackerman" in said


def test_segmentation_says_what_it_lacks(source, output, capsys):
    assert main(call(source, output)) == 0
    with pytest.raises(ConfigError, match="has no labels, which segmentation needs"):
        _ = Folder(output).labels
    assert main(["prepare", "check", str(output)]) == 0
    assert "no labels" in capsys.readouterr().out
