"""`asymfusion prepare check` on any folder in the folder format."""

import json

import cv2
import numpy as np
import pytest
from helpers import CLASSES, refused, write_description, write_folder

from asymfusion_ros.cli.main import main


@pytest.fixture
def root(tmp_path):
    """Splits train (frame0, frame1), val (frame2), test (frame3) of 48 x 64 stripes."""
    root = write_folder(tmp_path / "stripes", frames=4)
    for split, names in (("train", "frame0\nframe1\n"), ("val", "frame2\n"), ("test", "frame3\n")):
        (root / f"{split}.txt").write_text(names)
    return root


def put(root, part, name, values, dtype):
    assert cv2.imwrite(str(root / part / f"{name}.png"), np.array(values, dtype))


def frame(root, name, depth, label):
    """Replaces a frame by one of the label's size."""
    put(root, "rgb", name, np.zeros((*np.shape(label), 3)), np.uint8)
    put(root, "depth", name, depth, np.uint16)
    put(root, "label", name, label, np.uint8)


def check(root, tmp_path, *options):
    """(exit code, the JSON report)"""
    code = main(["prepare", "check", str(root), "--json", str(tmp_path / "check.json"), *options])
    return code, json.loads((tmp_path / "check.json").read_text())


def test_numbers_by_hand(root, tmp_path, capsys):
    frame(root, "frame0", [[0, 500, 1000, 2000]], [[0, 0, 2, 255]])
    frame(root, "frame1", [[3000, 0], [0, 0]], [[0, 255], [255, 255]])
    frame(root, "frame2", [[0, 0]], [[255, 255]])
    code, report = check(root, tmp_path)
    assert code == 0
    train, val = report["splits"]["train"], report["splits"]["val"]
    assert (train["frames"], train["sizes"]) == (2, {"4x1": 1, "2x2": 1})
    # known depths 0.5, 1, 2, 3: the median is between 1 and 2; 4 of 8 pixels are without
    assert train["depth"] == pytest.approx({"min": 0.5, "median": 1.5, "max": 3.0, "invalid": 0.5})
    assert train["classes"] == {"wall": 0.75, "floor": 0.0, "box": 0.25}
    assert train["void"] == 0.5
    assert train["never_seen"] == ["floor"]
    assert val["depth"] == {"min": None, "median": None, "max": None, "invalid": 1.0}
    assert val["classes"] == {"wall": None, "floor": None, "box": None}
    assert val["never_seen"] == list(CLASSES)
    assert (report["problems"], report["warnings"]) == ([], [])
    out = capsys.readouterr().out
    rows = {line.split("  ")[0]: line.split()[-3:] for line in out.splitlines() if line}
    assert rows["frames"] == ["1", "2", "1"]  # test, train, val
    assert rows["wall"][1:] == ["75.00", "-"]
    assert rows["floor"][1:] == ["-", "-"]
    assert rows["depth median, m"][1:] == ["1.50", "-"]
    assert rows["without depth, %"][1:] == ["50.00", "100.00"]
    assert "never seen in train: floor\n" in out
    assert "every file is there, decodes and fits" in out


def test_depth_is_in_the_folder_s_unit(root, tmp_path):
    put(root, "depth", "frame2", np.full((48, 64), 100), np.uint8)
    write_description(root, depth_scale=0.04)
    _, report = check(root, tmp_path)
    assert report["splits"]["val"]["depth"]["median"] == pytest.approx(4.0)


def test_another_void(root, tmp_path):
    frame(root, "frame2", [[1, 1, 1, 1]], [[0, 99, 255, 99]])
    write_description(root, void=99)
    code, report = check(root, tmp_path)
    assert code == 0
    assert report["splits"]["val"]["void"] == 0.75
    assert report["splits"]["val"]["classes"]["wall"] == 1.0


def test_everything_that_is_wrong_is_listed(root, tmp_path, capsys):
    (root / "rgb" / "frame0.png").unlink()
    (root / "depth" / "frame0.png").write_bytes(b"")
    data = (root / "depth" / "frame1.png").read_bytes()
    (root / "depth" / "frame1.png").write_bytes(data[: len(data) - 30])
    put(root, "label", "frame1", [[3, 3, 200, 0]] * 2, np.uint8)
    put(root, "depth", "frame2", np.zeros((48, 64, 3)), np.uint8)
    put(root, "label", "frame2", np.zeros((48, 64)), np.uint16)
    put(root, "depth", "frame3", np.zeros((24, 64)), np.uint16)
    (root / "test.txt").write_text("frame3\nframe9\n")
    (root / "extra.txt").write_text("\n")
    code, report = check(root, tmp_path)
    assert code == 1
    found = {entry["file"].removeprefix(f"{root}/"): [] for entry in report["problems"]}
    for entry in report["problems"]:
        found[entry["file"].removeprefix(f"{root}/")].append(entry["problem"])
    cut_short = "does not decode as an image: it is damaged, or cut short"
    assert found == {
        "rgb/frame0.jpg": ["is missing, and frame0.png too"],
        "depth/frame0.png": ["is empty (0 bytes)"],
        "depth/frame1.png": [cut_short],
        "label/frame1.png": [
            "is 4x2, but its frame is 64x48",
            "has values beyond the 3 classes: 3 (4 pixels), 200 (2 pixels)",
        ],
        "depth/frame2.png": ["is 3 channels of 8 bits; depth has one channel of 8 or 16 bits"],
        "label/frame2.png": ["is 1 channel of 16 bits; a label has one channel of 8 bits"],
        "depth/frame3.png": ["is 64x24, but its frame is 64x48"],
        "rgb/frame9.jpg": ["is missing, and frame9.png too"],
        "depth/frame9.png": ["is missing"],
        "label/frame9.png": ["is missing"],
        "extra.txt": [f"split 'extra' is empty: {root / 'extra.txt'} lists no frames"],
    }
    captured = capsys.readouterr()
    assert all(entry["file"] in captured.out for entry in report["problems"])
    lines = [line for line in captured.err.splitlines() if line.strip() and "%|" not in line]
    assert lines == [f"asymfusion prepare: error: {root} has 12 problems (listed above)"]


def test_a_jpg_that_is_cut_short(root, tmp_path):
    path = root / "rgb" / "frame0.jpg"
    image = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    assert cv2.imwrite(str(path), image)  # where both are there, the jpg counts
    assert check(root, tmp_path)[0] == 0
    path.write_bytes(path.read_bytes()[:-20])
    code, report = check(root, tmp_path)
    assert (code, [entry["file"] for entry in report["problems"]]) == (1, [str(path)])


def test_frames_in_two_splits(root, tmp_path):
    (root / "trainval.txt").write_text("frame0\nframe1\nframe2\n")
    assert check(root, tmp_path)[1]["warnings"] == []
    (root / "val.txt").write_text("frame1\nframe0\nframe2\nframe2\n")
    code, report = check(root, tmp_path)
    assert code == 0
    assert report["warnings"] == [
        "val lists 1 frames more than once, frame2 the first",
        "train and val share 2 frames, frame0 the first: a score on what was trained on says nothing",
    ]


def test_a_split_without_labels_is_no_problem_but_a_label_that_is_missing_is(root, tmp_path, capsys):
    (root / "label" / "frame3.png").unlink()
    code, report = check(root, tmp_path)
    assert (code, report["splits"]["test"]["labelled"]) == (0, False)
    assert report["splits"]["test"]["never_seen"] == []
    assert "test has no labels" in capsys.readouterr().out
    (root / "label" / "frame1.png").unlink()
    code, report = check(root, tmp_path)
    assert code == 1
    assert [entry["file"] for entry in report["problems"]] == [str(root / "label" / "frame1.png")]


def test_chosen_splits(root, tmp_path, capsys):
    (root / "notes.txt").write_text("taken in May\n")
    (root / "label" / "frame3.png").write_bytes(b"")
    assert check(root, tmp_path)[0] == 1
    code, report = check(root, tmp_path, "--splits", "train", "val")
    capsys.readouterr()
    assert (code, list(report["splits"])) == (0, ["train", "val"])
    assert "split 'vall' is missing" in refused(capsys, "prepare", "check", root, "--splits", "vall")


def test_what_cannot_be_looked_through(root, tmp_path, capsys):
    assert "is not a data set" in refused(capsys, "prepare", "check", tmp_path)
    assert f"cannot write {tmp_path}" in refused(capsys, "prepare", "check", root, "--json", tmp_path)
    for split in ("train", "val", "test"):
        (root / f"{split}.txt").unlink()
    assert "has no splits: write the frames' names" in refused(capsys, "prepare", "check", root)
