"""`asymfusion label` from bags to a folder for labelling tools, and their corrections back into it."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from helpers import CLASSES, refused, write_checkpoint, write_folder
from PIL import Image
from recorded import SECOND, camera_info, distances, frames, image, picture, static_transform, write_bag

from asymfusion_ros import Segmenter
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.labelling import cvat
from asymfusion_ros.labelling.brush_rle import decode, encode

T0 = 100 * SECOND
COLOURS = {(128, 0, 0): 0, (0, 128, 0): 1, (128, 128, 0): 2, (0, 0, 0): 255}  # the customary ones


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")


@pytest.fixture(scope="module")
def made(tmp_path_factory, checkpoint):
    """Two recordings of six frames each as a folder."""
    root = tmp_path_factory.mktemp("made")
    bags = [write_bag(root / name, frames(6)) for name in ("walk.one", "again")]
    label(checkpoint, *bags, "--output", root / "kitchen", "--min-distance", 0, "--min-confidence", 0.5)
    return root / "kitchen"


@pytest.fixture
def folder(tmp_path):
    """A small data set whose labels are to be corrected."""
    return write_folder(tmp_path / "stripes", frames=3)


def label(checkpoint, *arguments):
    words = [str(argument) for argument in arguments]
    assert main(["label", *words, "--checkpoint", str(checkpoint), "--device", "cpu"]) == 0


def stored(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def test_the_folder_holds_the_images_and_the_engines_masks(made, checkpoint):
    segmenter = Segmenter.from_checkpoint(checkpoint, device="cpu")
    data = Folder(made)
    assert data.labels.names == CLASSES and data.depth_scale == 0.001
    names = data.names("train") + data.names("val")
    assert sorted(names) == [f"{bag}_{i:06d}" for bag in ("again", "walk_one") for i in range(6)]
    assert data.names("val") == ["walk_one_000005", "again_000005"]
    for name in names:
        index = int(name[-6:])
        np.testing.assert_array_equal(stored(made / f"rgb/{name}.png")[..., ::-1], picture(index))
        np.testing.assert_array_equal(stored(made / f"depth/{name}.png"), distances(index))
        result = segmenter(picture(index), distances(index)).numpy()
        expected = np.where(result.confidence < 127.5, 255, result.labels)
        np.testing.assert_array_equal(stored(made / f"label/{name}.png"), expected)


def test_prepare_check_finds_nothing_wrong(made, capsys):
    assert main(["prepare", "check", str(made)]) == 0
    assert "every file is there, decodes and fits" in capsys.readouterr().out


def test_the_table_says_why_and_the_sheet_shows_them(made):
    rows = list(csv.DictReader((made / "selection.csv").open()))
    assert len(rows) == 12
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True) and 0 <= scores[-1] and scores[0] <= 1
    first = next(row for row in rows if row["frame"] == "again_000000")
    assert first["stamp"] == str(T0) and "change of scene" in first["reasons"]
    assert first["recording"] == "again" and float(first["change"]) == 0
    assert all(row["reasons"] for row in rows)
    assert Image.open(made / "contact_sheet.jpg").size[0] == 1920


def test_cvat_gets_each_pixels_class_by_its_colour(made):
    with zipfile.ZipFile(made / "cvat/annotations.zip") as archive:
        lines = archive.read("labelmap.txt").decode().splitlines()
        listed = archive.read("ImageSets/Segmentation/default.txt").decode().split()
        assert lines[1:] == ["background:0,0,0::", "wall:128,0,0::", "floor:0,128,0::", "box:128,128,0::"]
        assert len(listed) == 12
        for name in listed[:2]:
            masks, objects = (
                Image.open(io.BytesIO(archive.read(f"{part}/{name}.png"))).convert("RGB")
                for part in ("SegmentationClass", "SegmentationObject")
            )
            expected = stored(made / f"label/{name}.png")
            for y in range(masks.height):
                for x in range(masks.width):
                    assert COLOURS[masks.getpixel((x, y))] == expected[y, x]
                    assert (objects.getpixel((x, y)) == (0, 0, 0)) == (expected[y, x] == 255)
    raw = json.loads((made / "cvat/labels.json").read_text())
    assert raw[1] == {"name": "floor", "color": "#008000", "attributes": []}


def test_label_studio_gets_a_brush_region_a_class(made):
    view = ElementTree.parse(made / "label_studio/config.xml").getroot()
    brush = view.find("BrushLabels")
    assert brush.attrib == {"name": "label", "toName": "image"}
    assert [one.get("value") for one in brush] == list(CLASSES)
    tasks = json.loads((made / "label_studio/tasks.json").read_text())
    assert len(tasks) == 12
    for task in tasks:
        name = task["data"]["frame"]
        assert task["data"]["image"] == f"/data/local-files/?d=kitchen/rgb/{name}.png"
        (prediction,) = task["predictions"]
        expected = stored(made / f"label/{name}.png")
        found = np.full(expected.shape, 255, np.uint8)
        for region in prediction["result"]:
            assert (region["original_width"], region["original_height"]) == (64, 48)
            assert (region["from_name"], region["to_name"]) == ("label", "image")
            (kind,) = region["value"]["brushlabels"]
            found[decode(region["value"]["rle"], 48, 64)] = CLASSES.index(kind)
        np.testing.assert_array_equal(found, expected)
        assert 0 < prediction["score"] < 1


def test_the_same_recordings_make_the_same_files(tmp_path, checkpoint):
    bag = write_bag(tmp_path / "walk", frames(2))
    files = []
    for place in ("a", "b"):
        label(checkpoint, bag, "--output", tmp_path / place / "same")
        root = tmp_path / place / "same"
        files.append({str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()})
    assert files[0] == files[1] and len(files[0]) == 2 * 3 + 9


def test_near_duplicates_are_left_out_and_the_count_holds_for_all(tmp_path, checkpoint, capsys):
    twice = [(topic, time + SECOND, message) for topic, time, message in frames(2)]
    for _, _, message in twice:
        message.header.stamp.sec += 1
    bag = write_bag(tmp_path / "walk", [*frames(2), *twice])
    label(checkpoint, bag, "--output", tmp_path / "out")
    assert sorted(p.stem for p in (tmp_path / "out/rgb").iterdir()) == ["walk_000000", "walk_000001"]
    assert "2 of 4 frames of 1 recording (train 1, val 1)" in capsys.readouterr().out
    label(checkpoint, bag, "--output", tmp_path / "one", "--count", 1, "--format", "cvat", "--every", 2)
    assert len(list((tmp_path / "one/rgb").iterdir())) == 1 and not (tmp_path / "one/label_studio").exists()
    assert "too few for a val.txt" in capsys.readouterr().out


def test_depth_of_another_camera_is_stored_as_the_colour_camera_sees_it(tmp_path, checkpoint):
    messages = [
        ("/tf_static", T0, static_transform("base", "colour", 0.1)),
        ("/tf_static", T0, static_transform("base", "ir", 0.15)),
        ("/camera/color/camera_info", T0, camera_info("colour", 50.0)),
        ("/camera/depth/camera_info", T0, camera_info("ir", 50.0)),
        ("/camera/color/image_raw", T0, image(T0, picture(1), "rgb8", "colour")),
        (
            "/camera/depth/image_rect",
            T0,
            image(T0, np.full((48, 64), 2500, np.uint16), "16UC1", "ir"),
        ),
    ]
    label(checkpoint, write_bag(tmp_path / "walk", messages), "--output", tmp_path / "out")
    depth = stored(tmp_path / "out/depth/walk_000000.png")
    # 0.05 m to the right at 2.5 m is 50 * 0.05 / 2.5 = 1 column: the first one has no depth
    assert (depth[:, 0] == 0).all() and (depth[:, 1:] == 2500).all()


# The way back


def write_cvat(
    path: Path, masks: dict[str, np.ndarray], names: str = "wall floor box", **extra: bytes
) -> Path:
    """As CVAT exports it: masks H x W x 3 RGB, in the customary colours of the classes named."""
    colours = ["128,0,0", "0,128,0", "128,128,0", "0,0,128"]
    lines = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
    lines += [f"{name}:{colour}::" for name, colour in zip(names.split(), colours)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labelmap.txt", "\n".join(lines) + "\n")
        archive.writestr("ImageSets/Segmentation/default.txt", "".join(f"{name}\n" for name in masks))
        for name, mask in masks.items():
            data = io.BytesIO()
            Image.fromarray(mask).save(data, "PNG")
            archive.writestr(f"SegmentationClass/{name}.png", data.getvalue())
        for name, data in extra.items():
            archive.writestr(name, data)
    return path


def painted(label: np.ndarray) -> np.ndarray:
    colour = {value: key for key, value in COLOURS.items()}
    return np.array([[colour[int(value)] for value in row] for row in label], np.uint8)


def another_label(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(np.array([0, 1, 2, 255], np.uint8), (48, 64))


def write_studio(path: Path, tasks: list) -> Path:
    path.write_text(json.dumps(tasks))
    return path


def task(name: str, label: np.ndarray, **changed) -> dict:
    """As Label Studio exports it, with a region a class."""
    regions = [
        {
            "id": str(value),
            "type": "brushlabels",
            "original_width": label.shape[1],
            "original_height": label.shape[0],
            "image_rotation": 0,
            "value": {"format": "rle", "rle": encode(label == value), "brushlabels": [CLASSES[value]]},
            **changed,
        }
        for value in range(3)
    ]
    image = f"/data/upload/3/0a1b2c3d-{name}.png"
    cancelled = {"was_cancelled": True, "result": []}
    annotations = [{"result": []}, {"was_cancelled": False, "result": regions}, cancelled]
    return {"id": 7, "data": {"image": image}, "annotations": annotations}


def test_a_cvat_export_becomes_the_labels(folder, tmp_path, capsys):
    masks = {"frame0": another_label(0), "rgb/frame2": another_label(2), "elsewhere": another_label(3)}
    path = write_cvat(tmp_path / "task.zip", {name: painted(mask) for name, mask in masks.items()})
    before = stored(folder / "label/frame1.png")
    assert main(["label", "--corrections", str(path), "--into", str(folder)]) == 0
    np.testing.assert_array_equal(stored(folder / "label/frame0.png"), masks["frame0"])
    np.testing.assert_array_equal(stored(folder / "label/frame2.png"), masks["rgb/frame2"])
    np.testing.assert_array_equal(stored(folder / "label/frame1.png"), before)
    told = capsys.readouterr().out
    assert "2 labels of task.zip taken over, 2 of them changed" in told
    assert "1 frame not in it, with the labels of before: frame1" in told
    assert "left out, not in the folder: elsewhere" in told


def test_what_no_object_covers_is_unlabelled_whatever_its_colour(folder, tmp_path):
    mask, objects = np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64, 3), np.uint8)
    mask[...] = (128, 0, 0)  # wall, which the tool lists first
    objects[:, 10:20] = (128, 0, 0)
    data = io.BytesIO()
    Image.fromarray(objects).save(data, "PNG")
    extra = {"SegmentationObject/frame0.png": data.getvalue()}
    path = write_cvat(tmp_path / "task.zip", {"frame0": mask}, **extra)
    assert main(["label", "--corrections", str(path), "--into", str(folder)]) == 0
    expected = np.full((48, 64), 255)
    expected[:, 10:20] = 0
    np.testing.assert_array_equal(stored(folder / "label/frame0.png"), expected)


def test_a_label_studio_export_becomes_the_labels(folder, tmp_path, capsys):
    write_description_void(folder)
    corrected = another_label(5)
    above = task("frame2", another_label(6))
    regions = above["annotations"][1]["result"]
    regions.append({**regions[0], "value": {**regions[1]["value"], "rle": encode(np.ones((48, 64), bool))}})
    waiting = {"id": 9, "data": {"image": "x.png"}, "annotations": []}
    path = write_studio(tmp_path / "project.json", [task("frame0", corrected), above, waiting])
    assert main(["label", "--corrections", str(path), "--into", str(folder)]) == 0
    expected = np.where(corrected == 255, 200, corrected)  # the folder's own void
    np.testing.assert_array_equal(stored(folder / "label/frame0.png"), expected)
    assert (stored(folder / "label/frame2.png") == 1).all()  # the later region lies above
    assert "2 labels of project.json taken over" in capsys.readouterr().out


def write_description_void(folder: Path) -> None:
    path = folder / "dataset.yaml"
    path.write_text(path.read_text().replace("void: 255", "void: 200"))


def test_the_folder_may_have_got_other_classes(folder, tmp_path, capsys):
    path = folder / "dataset.yaml"
    path.write_text(path.read_text().replace("['wall', 'floor', 'box']", "[wall, ball]"))
    assert Folder(folder).labels.names == ("wall", "ball")
    cv2.imwrite(str(folder / "label/frame0.png"), np.full((48, 64), 2, np.uint8))  # of the old classes
    mask = np.zeros((48, 64, 3), np.uint8)
    mask[:, :30] = (0, 128, 0)
    zipped = write_cvat(tmp_path / "task.zip", {"frame0": mask}, "wall ball")
    assert main(["label", "--corrections", str(zipped), "--into", str(folder)]) == 0
    assert "1 of them changed" in capsys.readouterr().out
    expected = np.where(np.arange(64) < 30, 1, 255)[None].repeat(48, 0)
    np.testing.assert_array_equal(stored(folder / "label/frame0.png"), expected)


def test_what_was_made_comes_back_as_it_was(made, tmp_path, capsys):
    before = {path.name: path.read_bytes() for path in (made / "label").iterdir()}
    exported = json.loads((made / "label_studio/tasks.json").read_text())
    for one in exported:
        one["annotations"] = one.pop("predictions")
    project = write_studio(tmp_path / "project.json", exported)
    for file in (made / "cvat/annotations.zip", project):
        assert main(["label", "--corrections", str(file), "--into", str(made)]) == 0
        assert "12 labels" in (told := capsys.readouterr().out) and "0 of them changed" in told
    assert before == {path.name: path.read_bytes() for path in (made / "label").iterdir()}


# Bad input


def test_an_output_that_exists_and_recordings_of_one_name_are_refused(made, checkpoint, tmp_path, capsys):
    bag = write_bag(tmp_path / "walk", frames(1))
    words = ["--checkpoint", checkpoint, "--device", "cpu"]
    assert "kitchen exists: name another folder" in refused(capsys, "label", bag, "--output", made, *words)
    line = refused(capsys, "label", bag, bag, "--output", tmp_path / "out", *words)
    assert "two recordings are called walk" in line
    assert "give recordings and --output" in refused(capsys, "label", bag)
    assert "--into FOLDER alone" in refused(capsys, "label", bag, "--corrections", "a.zip")


def test_a_recording_without_a_frame_is_refused_and_leaves_nothing(checkpoint, tmp_path, capsys):
    bag = write_bag(tmp_path / "walk", frames(3, apart=SECOND // 30))
    out = tmp_path / "out"
    assert main(["label", str(bag), "--output", str(out), "--checkpoint", str(checkpoint)]) == 1
    assert "never pair within slop = 0.015 s" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_an_output_that_cannot_be_made_is_refused_before_the_work(checkpoint, tmp_path, capsys):
    bag = write_bag(tmp_path / "walk", frames(1))
    (tmp_path / "file").write_text("")
    words = ["label", str(bag), "--output", str(tmp_path / "file" / "out"), "--checkpoint", str(checkpoint)]
    assert main(words) == 1
    assert "cannot make the folder" in capsys.readouterr().err


def test_recordings_of_different_cameras_are_refused(checkpoint, tmp_path, capsys):
    both = write_bag(tmp_path / "both", frames(2))
    colour = write_bag(tmp_path / "colour", frames(2)[::2])
    words = ["label", str(both), str(colour), "--output", str(tmp_path / "out")]
    assert main([*words, "--checkpoint", str(checkpoint)]) == 1
    assert "both has rgb and depth, but colour has rgb: label them into different" in capsys.readouterr().err


def test_classes_that_cvat_cannot_hold_are_refused(tmp_path, capsys):
    names = ("wall", "floor: tiles", "box")
    checkpoint = write_checkpoint(tmp_path / "tiny.safetensors", names=names)
    bag = write_bag(tmp_path / "walk", frames(1))
    words = [bag, "--output", tmp_path / "out", "--checkpoint", checkpoint]
    assert "class 'floor: tiles' cannot be written" in refused(capsys, "label", *words)


def header_of(width: int, height: int) -> bytes:
    """A PNG's first bytes and its last, as if it were that large."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + size + b"\x08\0\0\0\0" + bytes(100) + b"IEND"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p.write_bytes(b"PK nonsense"), "is no zip that can be read"),
        (lambda p: write_cvat(p, {"frame0": np.zeros((24, 32, 3), np.uint8)}), "is 32x24, but its frame"),
        (lambda p: write_cvat(p, {"frame0": painted(another_label(1))}, "wall sky box"), "the class 'sky'"),
        (
            lambda p: write_cvat(p, {"frame0": np.full((48, 64, 3), 7, np.uint8)}),
            "3072 pixels of the colour 7,7,7, which labelmap.txt does not list",
        ),
        (lambda p: write_cvat(p, {"other": np.zeros((48, 64, 3), np.uint8)}), "none of its 1 images is"),
        (lambda p: write_cvat(p, {}, **{"../../label/frame0.png": b"x"}), "leads out of the folder"),
        (lambda p: write_cvat(p, {}, **{"SegmentationClass/frame0.png": b"x"}), "frame0.png is no PNG"),
        (
            lambda p: write_cvat(p, {}, **{"SegmentationClass/frame0.png": header_of(40000, 40000)}),
            "more than 33554432 pixels",
        ),
        (lambda p: zipfile.ZipFile(p, "w").close(), "has no labelmap.txt"),
    ],
)
def test_a_zip_that_is_wrong_is_refused_and_no_label_is_touched(make, message, folder, tmp_path, capsys):
    make(tmp_path / "task.zip")
    before = [stored(path) for path in sorted((folder / "label").iterdir())]
    assert message in refused(capsys, "label", "--corrections", tmp_path / "task.zip", "--into", folder)
    for path, label in zip(sorted((folder / "label").iterdir()), before, strict=True):
        np.testing.assert_array_equal(stored(path), label)


def test_an_entry_that_is_too_large_is_not_read(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cvat, "LARGEST_PNG", 1000)
    path = write_cvat(tmp_path / "task.zip", {}, **{"SegmentationClass/frame0.png": bytes(1001)})
    assert "has more than 1000 bytes" in refused(capsys, "label", "--corrections", path, "--into", folder)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"a": 1}, "is no list of tasks"),
        ([{"id": 3, "image": "frame0.png"}], "task 3 has no annotations: export in the format JSON"),
        ([{"annotations": 5, "data": {"image": "frame0.png"}}], "is not as Label Studio exports it"),
        ([task("frame0", np.zeros((24, 32), np.uint8))], "is 32x24, but its frame frame0 is 64x48"),
        ([task("frame0", another_label(0), type="polygonlabels")], "only brush regions are read"),
        ([task("frame0", another_label(0), image_rotation=90)], "rotated by 90 degrees"),
        ([task("frame0", another_label(0), value={"rle": []})], "region that is not as Label Studio"),
        (
            [task("frame0", another_label(0), value={"format": "rle", "rle": [1], "brushlabels": ["sky"]})],
            "the class 'sky', which the folder does not have",
        ),
        (
            [task("frame0", another_label(0), value={"format": "rle", "rle": [1], "brushlabels": ["box"]})],
            "whose code is wrong: it is cut short",
        ),
        ([task("other", another_label(0))], "none of its 1 images is a frame"),
    ],
)
def test_a_json_that_is_wrong_is_refused(tasks, message, folder, tmp_path, capsys):
    path = write_studio(tmp_path / "project.json", tasks)
    assert message in refused(capsys, "label", "--corrections", path, "--into", folder)


def test_a_file_of_another_kind_is_refused(folder, capsys):
    line = refused(capsys, "label", "--corrections", folder / "train.txt", "--into", folder)
    assert "neither a .zip (CVAT" in line
    assert "missing.zip is missing" in refused(
        capsys, "label", "--corrections", "missing.zip", "--into", folder
    )
