"""A recording made of a folder: depth units, pace, splits, and what is wrong with a folder."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from asymfusion_ros.errors import UserError
from asymfusion_ros.recordings.folder import FolderRecording, millimetres

NYUDV2 = Path(__file__).resolve().parents[3] / "shared" / "data" / "nyudv2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dataset.yaml").write_text("name: room\nlabels: nyu40\ndepth_scale: 0.002\n")
    for kind in ("rgb", "depth"):
        (tmp_path / kind).mkdir()
    for index in range(4):
        bgr = np.zeros((6, 8, 3), np.uint8)
        bgr[..., 2] = 100 + index  # red
        cv2.imwrite(str(tmp_path / "rgb" / f"f{index}.png"), bgr)
        cv2.imwrite(
            str(tmp_path / "depth" / f"f{index}.png"),
            np.array([[0, 500 + index]] * 3, np.uint16).repeat(4, 1).repeat(2, 0),
        )
    (tmp_path / "train.txt").write_text("f0\nf1\nf2\nf3\n")
    return tmp_path


def test_depth_is_played_in_millimetres(folder):
    rgb, depth, *_ = FolderRecording(folder, rate=10)
    pixels = depth.data.view("<u2").reshape(depth.height, depth.width)
    # 500 units of 2 mm; 0 stays unknown
    assert pixels[0, :4].tolist() == [0, 0, 0, 0] and pixels[0, 4:].tolist() == [1000] * 4
    assert rgb.data.reshape(6, 8, 3)[0, 0].tolist() == [100, 0, 0]
    assert rgb.calibration is None


def test_what_16_bits_cannot_hold_is_unknown():
    metres = np.array([[0.0, 1.2344, 65.535, 65.6, np.nan, np.inf]], np.float32)
    assert millimetres(metres).tolist() == [[0, 1234, 65535, 0, 0, 0]]


def test_frames_come_at_the_rate_asked_for(folder):
    recording = FolderRecording(folder, rate=10)
    assert [sample.due for sample in recording] == [
        ns for ns in (0, 10**8, 2 * 10**8, 3 * 10**8) for _ in "ab"
    ]
    assert (recording.seconds, recording.images["rgb"]) == (0.4, 4)


def test_seconds_cut_it_short(folder):
    assert FolderRecording(folder, rate=10, seconds=0.2).images["rgb"] == 2


def test_val_is_played_where_there_is_one(folder):
    assert FolderRecording(folder, rate=10).split == "train"
    (folder / "val.txt").write_text("f2\n")
    assert FolderRecording(folder, rate=10).images["rgb"] == 1
    assert FolderRecording(folder, rate=10, split="train").images["rgb"] == 4


def test_a_missing_split_names_those_there_are(folder):
    with pytest.raises(UserError, match=r"split 'test' is missing.*splits there: train"):
        FolderRecording(folder, rate=10, split="test")


def test_a_folder_without_a_split_says_how_to_make_one(folder):
    (folder / "train.txt").unlink()
    with pytest.raises(UserError, match="list the frames to play"):
        FolderRecording(folder, rate=10)


@pytest.mark.skipif(not NYUDV2.is_dir(), reason=f"no data set at {NYUDV2}")
def test_nyudv2_plays():
    recording = FolderRecording(NYUDV2, rate=5, seconds=0.4)
    samples = list(recording)
    assert [(s.modality, s.width, s.height) for s in samples] == [("rgb", 640, 480), ("depth", 640, 480)] * 2
    stored = cv2.imread(str(NYUDV2 / "depth" / "000022.png"), cv2.IMREAD_UNCHANGED)
    # floor(metres x 25.5) was stored, so a unit is 39.2 mm
    expected = stored.astype(np.float64) * 1000 / 25.5
    assert np.abs(samples[1].data.view("<u2").reshape(480, 640) - expected).max() <= 0.51
