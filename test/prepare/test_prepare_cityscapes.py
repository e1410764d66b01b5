"""`asymfusion prepare cityscapes` on a miniature of the official tree."""

import json
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import refused
from miniatures import CITIES, CITY_SIZE, place, write_tree

from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.labels import CITYSCAPES19
from asymfusion_training.prepare.cityscapes import depth_units

# The official table: labelId, name, where the name is one of the 19.
IDS = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
    27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip


@pytest.fixture
def root(tmp_path):
    return write_tree(tmp_path / "cityscapes")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "made"


@pytest.fixture
def call(root, output):
    return ["prepare", "cityscapes", "--root", str(root), "--output", str(output), "--partial"]


def first(root, kind, ending):
    return place(root, kind, "train", CITIES["train"][0], ending)


def put_disparity(root, values):
    image = np.zeros(CITY_SIZE, np.uint16)
    image[1, : len(values)] = values
    cv2.imwrite(str(first(root, "disparity", "disparity.png")), image)


def test_depth_by_hand(root, call, output):
    # baseline x fx = 400: p = 5121 is 20 pixels, so 20 m; p = 513 is 2 pixels, so 200 m; p = 257 is 1 pixel,
    # 400 m, beyond 16 bits of 5 mm; p = 65535 is 255.9921875 pixels, so 1.5625 m, stored as 1.565 or 1.56
    put_disparity(root, [0, 1, 2, 257, 513, 5121, 10241, 65535])
    assert main(call) == 0
    folder = Folder(output)
    assert folder.depth_scale == 0.005
    depth = folder.read(CITIES["train"][0]).images["depth"]
    assert depth[1, :7].tolist() == pytest.approx([0, 0, 0, 0, 200, 20, 10])
    assert depth[1, 7] == pytest.approx(1.5625, abs=0.0026)
    assert not depth[0].any()


def test_each_image_has_its_own_camera(root, call, output):
    other = place(root, "camera", "train", CITIES["train"][1], "camera.json")
    other.write_text(json.dumps({"extrinsic": {"baseline": 0.1}, "intrinsic": {"fx": 2000}}))
    for name in CITIES["train"]:
        cv2.imwrite(
            str(place(root, "disparity", "train", name, "disparity.png")), np.full(CITY_SIZE, 5121, np.uint16)
        )
    assert main(call) == 0
    depths = [Folder(output).read(name).images["depth"][0, 0] for name in CITIES["train"]]
    assert depths == pytest.approx([20, 10, 20])


def test_the_range_reaches_beyond_100_metres():
    # 0.209313 m and 2262.52 px are a real camera's: 473.575 m px; 4 px (p = 1025) are 118.39 m
    assert depth_units(0.209313, 2262.52)[1025] * 0.005 == pytest.approx(118.39, abs=0.01)
    assert depth_units(0.209313, 2262.52).max() * 0.005 == pytest.approx(327, abs=1)


def test_the_disparity_itself(root, call, output):
    put_disparity(root, [0, 1, 2, 257, 5121])
    for path in (root / "camera").rglob("*.json"):
        path.unlink()  # not needed
    (root / "camera").rename(root / "elsewhere")
    assert main([*call, "--disparity"]) == 0
    folder = Folder(output)
    assert folder.name == "cityscapes_disparity"
    assert folder.read(CITIES["train"][0]).images["depth"][1, :5].tolist() == [0, 0, 1 / 256, 1, 20]
    assert "pixels" in (output / "dataset.yaml").read_text()


def test_labels_by_hand(root, call, output):
    ids = np.arange(36, dtype=np.uint8)
    ids[34:] = 255, 0  # 255: a licence plate, -1 in the official table
    for kind, ending, image in (
        ("gtFine", "gtFine_labelIds.png", ids[None]),
        ("leftImg8bit", "leftImg8bit.png", np.zeros((1, 36, 3), np.uint8)),
        ("disparity", "disparity.png", np.zeros((1, 36), np.uint16)),
    ):
        cv2.imwrite(str(first(root, kind, ending)), image)
    assert main(call) == 0
    folder = Folder(output)
    assert folder.labels is CITYSCAPES19
    label = folder.read(CITIES["train"][0]).label[0]
    named = {index: CITYSCAPES19.names[value] for index, value in enumerate(label) if value != 255}
    assert named == IDS


def test_images_are_links_and_splits_are_whole(root, call, output, capsys):
    assert main(call) == 0
    out = capsys.readouterr().out
    assert "5 frames, 5 of them made now\n  train 3, val 1, test 1\n" in out
    folder = Folder(output)
    for split, names in CITIES.items():
        assert folder.names(split) == names
        for name in names:
            source = place(root, "leftImg8bit", split, name, "leftImg8bit.png")
            assert os.path.samefile(source, output / "rgb" / f"{name}.png")
            assert np.array_equal(folder.read(name).images["rgb"], cv2.imread(str(source))[..., ::-1])
    # the labels of test are dummies
    assert (folder.read(CITIES["test"][0]).label == 255).all()
    # nothing is left of the work
    assert {path.suffix for path in output.rglob("*") if path.is_file()} == {".png", ".txt", ".yaml"}


def test_images_are_copied_to_another_disk(root, call, capsys):
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == os.stat(root).st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        assert main([*call, "--output", other]) == 0
        assert f"RGB is copied: {other} cannot hold hard links to {root}" in capsys.readouterr().out
        source = first(root, "leftImg8bit", "leftImg8bit.png")
        assert (Path(other) / "rgb" / f"{CITIES['train'][0]}.png").read_bytes() == source.read_bytes()


def test_test_without_labels(root, call, output, capsys):
    (root / "gtFine" / "test" / "berlin" / "berlin_000000_000019_gtFine_labelIds.png").unlink()
    assert main(call) == 0
    assert "1 frames of test are without labels" in capsys.readouterr().out
    assert Folder(output).read(CITIES["test"][0], label=False).label is None
    assert main(["prepare", "check", str(output)]) == 0
    assert "test has no labels" in capsys.readouterr().out


def test_counts_are_the_official_ones(call, output, capsys):
    line = refused(capsys, *call[:-1])
    assert "has 3 frames of train, not the official 2975" in line
    assert "--partial" in line
    assert not output.exists()


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("leftImg8bit", "leftImg8bit.png"),
        ("gtFine", "gtFine_labelIds.png"),
        ("disparity", "disparity.png"),
        ("camera", "camera.json"),
    ],
)
def test_files_that_are_missing(root, call, output, capsys, kind, ending):
    lost = first(root, kind, ending)
    lost.unlink()
    line = refused(capsys, *call)
    assert f"{lost} is missing: unpack {kind}_trainvaltest.zip again" in line
    place(root, kind, "val", CITIES["val"][0], ending).unlink()
    assert f"{lost} is missing (and 1 more files)" in refused(capsys, *call)
    assert not output.exists()


def test_trees_that_are_none(root, call, tmp_path, capsys):
    (root / "disparity").rename(tmp_path / "elsewhere")
    line = refused(capsys, *call)
    assert f"{root / 'disparity'} is missing: unpack disparity_trainvaltest.zip into {root}" in line
    for kind in ("leftImg8bit", "gtFine", "disparity", "camera"):
        (tmp_path / "empty" / kind).mkdir(parents=True)
    assert "has no frames" in refused(capsys, *call, "--root", tmp_path / "empty")


def image_of(values, dtype=np.uint8):
    return cv2.imencode(".png", np.array(values, dtype))[1].tobytes()


@pytest.mark.parametrize(
    ("kind", "ending", "data", "named"),
    [
        (
            "disparity",
            "disparity.png",
            image_of(np.zeros(CITY_SIZE)),
            "is not an image of one channel and 16 bits",
        ),
        ("disparity", "disparity.png", image_of(np.zeros((3, 4)), np.uint16), "is 4x3, but its image is 8x3"),
        ("disparity", "disparity.png", b"", "is empty (0 bytes)"),
        (
            "disparity",
            "disparity.png",
            image_of(np.zeros(CITY_SIZE), np.uint16)[:50],
            "does not decode as an image",
        ),
        (
            "gtFine",
            "gtFine_labelIds.png",
            image_of(np.zeros((*CITY_SIZE, 3))),
            "is not an image of one channel and 8",
        ),
        (
            "gtFine",
            "gtFine_labelIds.png",
            image_of(np.full(CITY_SIZE, 77)),
            "has id 77, but labelIds are 0 to 33",
        ),
        ("leftImg8bit", "leftImg8bit.png", image_of(np.zeros(CITY_SIZE)), "is not an 8-bit RGB PNG"),
        ("leftImg8bit", "leftImg8bit.png", b"", "is not an 8-bit RGB PNG"),
        (
            "leftImg8bit",
            "leftImg8bit.png",
            image_of(np.zeros((*CITY_SIZE, 3)))[:-9],
            "does not decode as an image",
        ),
        ("camera", "camera.json", b"{", "does not give extrinsic.baseline and intrinsic.fx (JSONDecodeError"),
        ("camera", "camera.json", b'{"extrinsic": {"baseline": 1}}', "(KeyError: 'intrinsic')"),
        (
            "camera",
            "camera.json",
            b'{"extrinsic": {"baseline": 0}, "intrinsic": {"fx": 1}}',
            "baseline 0.0 and fx 1.0 must be above 0",
        ),
    ],
    ids=lambda value: "data" if isinstance(value, bytes) else None,
)
def test_a_wrong_file_is_named_and_a_rerun_makes_that_frame_alone(
    root, call, output, capsys, kind, ending, data, named
):
    wrong = first(root, kind, ending)
    sound = wrong.read_bytes()
    wrong.write_bytes(data)
    line = refused(capsys, *call)
    assert str(wrong) in line
    assert named in line
    assert "mend it and run the same command again" in line
    assert not (output / "dataset.yaml").exists()
    for name in (*CITIES["train"][1:], *CITIES["val"], *CITIES["test"]):
        assert all((output / part / f"{name}.png").exists() for part in ("rgb", "depth", "label"))
    wrong.write_bytes(sound)
    assert main(call) == 0
    assert "5 frames, 1 of them made now" in capsys.readouterr().out
    assert Folder(output).read(CITIES["train"][0]).images["rgb"].shape == (*CITY_SIZE, 3)


def test_depth_and_disparity_do_not_mix(call, output, capsys):
    assert main(call) == 0
    assert "dataset.yaml describes another data set" in refused(capsys, *call, "--disparity")
