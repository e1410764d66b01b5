"""Frames of a recording side by side: in their order, with the masks of one after another."""

import threading
import time

import pytest
import torch
from helpers import tiny_checkpoint, write_checkpoint, write_folder

from asymfusion_ros.cli.main import main
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.replay.streams import in_streams, open_streams


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_threads_are_shared_out(tmp_path, two_threads):
    checkpoint = tiny_checkpoint(tmp_path)
    assert len(open_streams(checkpoint, "cpu", threads=2)) == 2
    assert torch.get_num_threads() == 1
    assert len(open_streams(checkpoint, "cpu", threads=1)) == 1
    assert len(open_streams(checkpoint, "cpu", threads=24)) == 8
    assert torch.get_num_threads() == 3
    with pytest.raises(ConfigError, match="unknown precision"):
        open_streams(checkpoint, "cpu", "int4", threads=2)


def test_results_come_in_the_frames_order_however_long_each_takes():
    """Each segmenter has one frame at a time, and two work at once."""
    busy, most, lock = set(), [], threading.Lock()

    def do(segmenter, frame):
        with lock:
            assert segmenter not in busy
            busy.add(segmenter)
            most.append(len(busy))
        time.sleep(0.05 if frame % 2 == 0 else 0)
        with lock:
            busy.remove(segmenter)
        return frame * frame

    found = list(in_streams(["a", "b"], range(9), do))
    assert found == [(frame, frame * frame) for frame in range(9)]
    assert max(most) == 2
    assert list(in_streams(["a"], range(3), do)) == found[:3]


def test_no_more_frames_are_read_than_are_needed():
    """Frames are megabytes: those of a long recording never wait all together."""
    read = []

    def frames():
        for number in range(100):
            read.append(number)
            yield number

    for frame, _ in in_streams(["a", "b"], frames(), lambda segmenter, frame: None):
        assert len(read) <= frame + 4


def test_an_error_comes_in_its_frames_turn():
    def do(segmenter, frame):
        if frame == 2:
            raise ValueError("frame 2")
        return frame

    made = in_streams(["a", "b"], range(9), do)
    assert [next(made), next(made)] == [(0, 0), (1, 1)]
    with pytest.raises(ValueError, match="frame 2"):
        next(made)


def test_masks_are_those_of_one_frame_at_a_time(tmp_path, two_threads, capsys):
    checkpoint = write_checkpoint(tmp_path / "tiny.safetensors")
    folder = write_folder(tmp_path / "data", frames=7)
    masks = {}
    for threads in (1, 2):
        words = ["replay", folder, "--split", "train", "--checkpoint", checkpoint, "--device", "cpu"]
        words += ["--output", tmp_path / f"out{threads}", "--threads", threads]
        words += ["--png", tmp_path / f"png{threads}"]
        assert main([str(word) for word in words]) == 0
        files = sorted((tmp_path / f"png{threads}" / "data").glob("*.png"))
        masks[threads] = {file.name: file.read_bytes() for file in files}
    assert len(masks[1]) == len((folder / "train.txt").read_text().split())
    assert masks[1] == masks[2]
