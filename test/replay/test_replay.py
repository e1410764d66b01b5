"""`asymfusion replay` from the command to its files: masks, numbers, scores, and a run that is killed."""

from __future__ import annotations

import csv
import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import CLASSES, write_checkpoint, write_folder
from recorded import (
    DEPTH,
    LABELS,
    RGB,
    SECOND,
    STORE1,
    compressed,
    distances,
    frames,
    image,
    picture,
    write_bag,
    write_ros1_bag,
)

from asymfusion_ros import Segmenter
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.recordings.bag_file import BagFile
from asymfusion_ros.replay import replay as module

T0 = 100 * SECOND


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")


@pytest.fixture(scope="module")
def segmenter(checkpoint):
    return Segmenter.from_checkpoint(checkpoint, device="cpu")


@pytest.fixture(autouse=True)
def few_frames_a_part(monkeypatch):
    monkeypatch.setattr(module, "FRAMES", 4)


def replay(checkpoint, *arguments, code=0):
    words = [str(argument) for argument in arguments]
    assert main(["replay", *words, "--checkpoint", str(checkpoint), "--device", "cpu"]) == code


def refusal(words, capsys):
    """The one line of a command that is refused, besides those that say what was guessed."""
    capsys.readouterr()
    assert main(words) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    return line


def messages(bag: Path, topic: str) -> list:
    with BagFile(bag) as opened:
        return [(found.time, found.content) for found in opened.messages([topic])]


def pixels(message):
    return message.data.reshape(message.height, message.width, -1).squeeze()


def test_the_masks_are_the_engines_with_the_images_own_headers(tmp_path, checkpoint, segmenter, capsys):
    bag = write_bag(tmp_path / "walk", frames(6))
    replay(checkpoint, bag, "--output", tmp_path / "out")
    folder = tmp_path / "out" / "walk"
    masks, confidences, colours = (
        messages(folder / "masks", f"/segmentation/{name}") for name in ("mask", "confidence", "color_mask")
    )
    assert len(masks) == len(confidences) == len(colours) == 6
    palette = segmenter.label_set.palette
    for index, ((time, mask), (_, confidence), (_, colour)) in enumerate(zip(masks, confidences, colours)):
        expected = segmenter(picture(index), distances(index)).numpy()
        np.testing.assert_array_equal(pixels(mask), expected.labels)
        np.testing.assert_array_equal(pixels(confidence), expected.confidence)
        np.testing.assert_array_equal(pixels(colour), palette[expected.labels])
        assert (mask.encoding, colour.encoding, mask.step) == ("mono8", "rgb8", mask.width)
        stamp = T0 + index * SECOND // 10
        assert mask.header.stamp.sec * SECOND + mask.header.stamp.nanosec == stamp
        assert mask.header.frame_id == "camera" and time == stamp + 2000  # when the depth arrived
    ((_, info),) = messages(folder / "masks", "/segmentation/label_info")
    assert [(one.class_id, one.class_name) for one in info.class_map] == [
        *enumerate(CLASSES),
        (255, "unlabeled"),
    ]
    # Two files, of four and of two frames, which one description makes a bag of.
    assert sorted(path.name for path in folder.joinpath("masks").iterdir()) == [
        "masks_0.mcap",
        "masks_1.mcap",
        "metadata.yaml",
    ]
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["frames"], summary["segmented"], summary["unpaired"]) == (6, 6, {"rgb": 0, "depth": 0})
    assert summary["topics"] == {"rgb": RGB, "depth": DEPTH} and summary["scores"] is None
    rows = list(csv.DictReader((folder / "frames.csv").open()))
    labels = [pixels(mask) for _, mask in masks]
    for row, label in zip(rows, labels, strict=True):
        shares = [float(row[name]) for name in (*CLASSES, "unlabeled")]
        np.testing.assert_allclose(shares[:3], [(label == index).mean() for index in range(3)], atol=1e-6)
    for name in ("class_shares.png", "temporal_consistency.png"):
        assert cv2.imread(str(folder / name)) is not None
    printed = capsys.readouterr().out
    assert "walk: 6 frames of 0.5 s" in printed and str(folder / "summary.json") in printed


def test_the_originals_go_along_with_what_they_are_seen_by(tmp_path, checkpoint):
    bag = write_ros1_bag(tmp_path / "old.bag", frames(2, types=STORE1.types))
    replay(checkpoint, bag, "--output", tmp_path / "out", "--originals")
    found = messages(tmp_path / "out" / "old" / "masks", DEPTH)
    np.testing.assert_array_equal(found[1][1].data.view(np.uint16).reshape(48, 64), distances(1))
    assert found[1][1].header.frame_id == "camera"


def test_the_built_in_recording_is_replayed_by_its_name(tmp_path, checkpoint):
    pytest.importorskip("skimage", reason="needs scikit-image")
    options = ["--seconds", "0.2", "--originals"]
    replay(checkpoint, "motorcycle", "--output", tmp_path / "out", *options)
    masks = tmp_path / "out/motorcycle/masks"
    found = messages(masks, "/rgb/camera_info")
    assert len(found) == len(messages(masks, "/segmentation/mask")) == 3
    assert found[0][1].k[0] == 994.978 and found[0][1].width == 640
    assert len(messages(masks, "/depth_registered/image_rect")) == 3


def test_an_output_that_exists_is_left_alone(tmp_path, checkpoint, capsys):
    bag = write_bag(tmp_path / "walk", frames(1))
    replay(checkpoint, bag, "--output", tmp_path / "out", "--png", tmp_path / "png")
    before = (tmp_path / "out/walk/summary.json").read_bytes()
    words = ["replay", str(bag), "--output", str(tmp_path / "out"), "--checkpoint", str(checkpoint)]
    assert "out/walk exists: name another folder" in refusal(words, capsys)
    other = [*words[:3], str(tmp_path / "other"), *words[4:], "--png", str(tmp_path / "png")]
    assert "png/walk exists: name another folder" in refusal(other, capsys)
    # What is done is kept, as long as it is the same that is to be done.
    assert "was begun with slop = 0.015, now it is 0.01" in refusal(
        [*words, "--resume", "--slop", "0.01"], capsys
    )
    with module.alone(tmp_path / "out/.walk.lock"):
        assert "another replay is writing there" in refusal([*words, "--resume"], capsys)
    resumed = ["--png", tmp_path / "png", "--resume"]
    replay(checkpoint, bag, "--output", tmp_path / "out", *resumed)
    assert (tmp_path / "out/walk/summary.json").read_bytes() == before


def test_topics_that_never_pair_tell_the_slop_to_set(tmp_path, checkpoint, capsys):
    bag = write_bag(tmp_path / "walk", frames(3, apart=30_000_000))
    words = ["replay", str(bag), "--output", str(tmp_path / "out"), "--checkpoint", str(checkpoint)]
    line = refusal(words, capsys)
    assert "never pair within slop = 0.015 s: their nearest stamps are 0.030 s apart" in line
    assert "--slop 0.036" in line and not list((tmp_path / "out").iterdir())
    assert main([*words, "--slop", "0.036"]) == 0


# A run that is killed: the frames of the first part are whole, the seventh is under way. What is written lags
# behind what is segmented.
KILLED = """
import os, pathlib, signal, sys, time
from asymfusion_ros.cli.main import main
from asymfusion_ros.replay import replay
replay.FRAMES = 4
segment, frames = replay.segment, []
def until_killed(*arguments, **options):
    frames.append(None)
    if len(frames) == 7:
        output = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
        while not (output / "walk.partial/masks/metadata.yaml").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return segment(*arguments, **options)
replay.segment = until_killed
main(sys.argv[1:])
"""


def test_a_run_that_was_killed_goes_on_and_ends_as_if_nothing_had_been(tmp_path, checkpoint, capsys):
    recorded = frames(10)
    for index in range(10):
        label = (picture(index)[..., 0] % 3).astype(np.uint8)
        stamp = T0 + index * SECOND // 10
        recorded.append((LABELS, stamp + 3000, image(stamp, label, "mono8")))
    # One that makes no frame, before and one after the break.
    for stamp in (T0 + SECOND // 20, T0 + SECOND * 13 // 20):
        recorded.append((RGB, stamp, image(stamp, picture(50), "rgb8")))
    bag = write_bag(tmp_path / "walk", sorted(recorded, key=lambda one: one[1]))

    def words(name):
        folders = [f"--{format}={tmp_path / name / format}" for format in ("png", "coco", "kitti")]
        options = ["--labels", LABELS, "--checkpoint", str(checkpoint), "--device", "cpu"]
        return ["replay", str(bag), "--output", str(tmp_path / name / "out"), *options, *folders]

    assert main(words("whole")) == 0
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *words("killed")], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    partial = tmp_path / "killed/out/walk.partial"
    # What is whole can be read at once.
    assert len(messages(partial / "masks", "/segmentation/mask")) == 4
    capsys.readouterr()
    assert "walk.partial is what a replay has left that did not end: --resume" in refusal(
        words("killed"), capsys
    )
    wrong = [*words("killed"), "--resume", "--slop", "0.01"]
    assert "was begun with slop = 0.015, now it is 0.01" in refusal(wrong, capsys)
    assert main([*words("killed"), "--resume"]) == 0
    assert not partial.exists()
    one, other = (tmp_path / name for name in ("whole", "killed"))
    for topic in ("mask", "confidence", "color_mask", "label_info"):
        bags = [messages(folder / "out/walk/masks", f"/segmentation/{topic}") for folder in (one, other)]
        assert [str(message) for message in bags[0]] == [str(message) for message in bags[1]]
    assert untimed(one) == untimed(other)
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) for folder in (one, other)]
    assert names[0] == names[1]
    for format in ("png", "coco", "kitti"):
        for path in (one / format).rglob("*.*"):
            assert path.read_bytes() == (other / path.relative_to(one)).read_bytes()


def untimed(folder: Path):
    """What a run has written besides masks, without what differs from run to run."""
    summary = json.loads((folder / "out/walk/summary.json").read_text())
    for name in ("seconds", "frames_per_second", "latency_ms", "text"):
        del summary[name]
    del summary["settings"]["exports"]  # other folders
    rows = list(csv.DictReader((folder / "out/walk/frames.csv").open()))
    for row in rows:
        del row["milliseconds"]
    return summary, rows


def test_where_no_more_can_be_written_what_is_there_stays_readable(tmp_path, checkpoint, capsys, monkeypatch):
    """As with a disk that is full: a file that may not grow."""
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    large = [(RGB, T0 + SECOND + i, image(T0 + SECOND + i, noise, "rgb8")) for i in range(2)]
    large += [(DEPTH, T0 + SECOND + i, image(T0 + SECOND + i, distances(i), "16UC1")) for i in range(2)]
    bag = write_bag(tmp_path / "walk", [*frames(2), *large])
    words = ["replay", str(bag), "--output", str(tmp_path / "out"), "--checkpoint", str(checkpoint)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        nothing = refusal([*words, "--device", "cpu"], capsys)
        monkeypatch.setattr(module, "FRAMES", 2)
        line = refusal([*words, "--device", "cpu"], capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large; nothing is whole yet: make room" in nothing
    assert "File too large" in line and "can be read in" in line and "--resume" in line
    assert len(messages(tmp_path / "out/walk.partial/masks", "/segmentation/mask")) == 2
    replay(checkpoint, bag, "--output", tmp_path / "out", "--resume")
    assert len(messages(tmp_path / "out/walk/masks", "/segmentation/mask")) == 4


@pytest.fixture(scope="module")
def scored(tmp_path_factory, checkpoint):
    """A data set with the scores that `evaluate` has for it."""
    root = write_folder(tmp_path_factory.mktemp("data") / "set", frames=6)
    report = root.parent / "report.json"
    words = ["evaluate", str(checkpoint), "--data", str(root), "--json", str(report), "--device", "cpu"]
    assert main(words) == 0
    return root, json.loads(report.read_text())


def bag_of(root: Path, path: Path) -> tuple[Path, list[str]]:
    """The val frames as a bag."""
    folder = Folder(root)
    found, names = [], folder.names("val")
    for index, name in enumerate(names):
        frame, stamp = folder.read(name), T0 + index * SECOND // 10
        found.append((RGB, stamp, image(stamp, frame.images["rgb"], "rgb8")))
        found.append((DEPTH, stamp, image(stamp, frame.images["depth"].astype(np.float32), "32FC1")))
        found.append((LABELS, stamp, image(stamp, frame.label, "mono8")))
    return write_bag(path, found), names


@pytest.mark.parametrize("by", ["topic", "stamp", "order", "name"])
def test_the_scores_are_those_of_evaluate(tmp_path, checkpoint, scored, by):
    root, expected = scored
    bag, names = bag_of(root, tmp_path / "val")
    options = ["--labels", LABELS]
    if by in ("stamp", "order"):
        (tmp_path / "labels").mkdir()
        for index, name in enumerate(names):
            called = f"{T0 + index * SECOND // 10:019d}" if by == "stamp" else f"label{index}"
            (tmp_path / "labels" / f"{called}.png").write_bytes((root / "label" / f"{name}.png").read_bytes())
        options = ["--labels-dir", tmp_path / "labels"]
    elif by == "name":
        bag, options = root, ["--split", "val", "--labels-dir", root / "label"]
    replay(checkpoint, bag, "--output", tmp_path / "out", *options)
    summary = json.loads((tmp_path / "out" / bag.name / "summary.json").read_text())
    assert summary["labelled"] == len(names)
    assert summary["scores"]["branches"] == expected["branches"]
    assert summary["scores"]["calibration"] == expected["calibration"]


def test_several_recordings_are_scored_together(tmp_path, checkpoint, scored, capsys):
    root, expected = scored
    bag, _ = bag_of(root, tmp_path / "one")
    bag_of(root, tmp_path / "two")
    replay(checkpoint, bag, tmp_path / "two", "--output", tmp_path / "out", "--labels", LABELS)
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    confusion = np.array(expected["branches"]["ensemble"]["confusion"])
    assert summary["scores"]["branches"]["ensemble"]["confusion"] == (2 * confusion).tolist()
    assert "all 2 recordings: " in capsys.readouterr().out


def test_labels_that_do_not_fit_cost_a_line(tmp_path, checkpoint, capsys):
    bag = write_bag(tmp_path / "walk", frames(3))
    words = ["replay", str(bag), "--output", str(tmp_path / "out"), "--checkpoint", str(checkpoint)]
    folder = tmp_path / "labels"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((48, 64), np.uint8))
    line = refusal([*words, "--labels-dir", str(folder)], capsys)
    assert "has 1 labels, but the recording has 3 frames" in line and "0000000100.000000000.png" in line
    for name in "bc":
        cv2.imwrite(str(folder / f"{name}.png"), np.zeros((24, 32), np.uint8))
    line = refusal([*words, "--labels-dir", str(folder)], capsys)
    assert "b.png is 32x24, but its frame is 64x48" in line
    for name in "bc":
        cv2.imwrite(str(folder / f"{name}.png"), np.full((48, 64), 3, np.uint8))
    line = refusal([*words, "--labels-dir", str(folder)], capsys)
    assert "b.png has label 3, but the checkpoint has classes 0 to 2" in line
    wrong = (LABELS, T0, compressed(T0, np.zeros((48, 64), np.uint16), "16UC1; png"))
    bag = write_bag(tmp_path / "other", [*frames(1), wrong])
    words[1] = str(bag)
    assert "its encoding is 16UC1: labels are mono8" in refusal([*words, "--labels", LABELS], capsys)
    apart = (LABELS, T0, image(T0 + 5000, np.zeros((48, 64), np.uint8), "mono8"))
    words[1] = str(write_bag(tmp_path / "third", [*frames(1), apart]))
    line = refusal([*words, "--labels", LABELS], capsys)
    assert "none of the 1 labels of /labels has the stamp of a frame (the nearest is 0.000005 s" in line
    assert not list((tmp_path / "out").iterdir())


def test_a_topic_of_another_modality_than_the_checkpoints(tmp_path, checkpoint, capsys):
    bag = write_bag(tmp_path / "walk", frames(1))
    words = ["replay", str(bag), "--output", str(tmp_path / "out"), "--checkpoint", str(checkpoint)]
    line = refusal([*words, "--topic", "thermal=/x"], capsys)
    assert "a topic of thermal is given, but the checkpoint takes rgb, depth" in line
    assert "--topic thermal is not NAME=TOPIC" in refusal([*words, "--topic", "thermal"], capsys)
