"""The demo with its real processes over real DDS: masks and pictures come out, and every end is clean."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from asymfusion_ros.checkpoint import save_checkpoint
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import NYU40
from asymfusion_ros.network import NetworkConfig, build_network

pytest.importorskip("rclpy", reason="the demo needs ROS 2 for Python")

BAGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "bags"
REALSENSE = BAGS / "realsense_single_depth_color_640x480.bag"
needs_recording = pytest.mark.skipif(not REALSENSE.is_file(), reason=f"no recording at {REALSENSE}")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """Random weights and a tiny input: these tests are about everything around the network."""
    config = NetworkConfig("refinenet_lw", "resnet18", decoder_channels=16)
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    spec = InputSpec(height=48, width=64)
    save_checkpoint(path, build_network(config).state_dict(), config, NYU40, spec, {})
    return path


def demo(*options: object, **kwargs) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if name != "ROS_DOMAIN_ID"}
    environment["OMP_NUM_THREADS"] = "1"  # the network is tiny; threads would only wait for each other
    command = [sys.executable, "-m", "asymfusion_ros.cli.main", "demo", *map(str, options)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs
    )


def finish(process: subprocess.Popen, timeout: float = 120) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.terminate()
        out, err = process.communicate()
        pytest.fail(f"the demo did not end by itself:\n{out}\n{err}")
    return process.returncode, out, err


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten frames of 160 x 120, each of its own grey."""
    root = tmp_path / "frames"
    for name in ("rgb", "depth"):
        (root / name).mkdir(parents=True)
    (root / "dataset.yaml").write_text("name: grey\nlabels: nyu40\ndepth_scale: 0.001\n")
    for index in range(10):
        cv2.imwrite(str(root / "rgb" / f"{index}.png"), np.full((120, 160, 3), 10 * index, np.uint8))
        cv2.imwrite(str(root / "depth" / f"{index}.png"), np.full((120, 160), 1000 + index, np.uint16))
    (root / "val.txt").write_text("\n".join(map(str, range(10))))
    return root


def test_a_folder_becomes_masks_and_pictures(folder, checkpoint, tmp_path):
    output = tmp_path / "pictures"
    output.mkdir()
    (output / "second_77.png").write_text("of an earlier run")
    (output / "mine.txt").write_text("not the demo's")
    options = ("--folder", folder, "--rate", 5, "--checkpoint", checkpoint, "--device", "cpu")
    code, out, err = finish(demo(*options, "--output", output))
    assert code == 0, out + err
    summary = json.loads((output / "summary.json").read_text())
    assert (summary["rgb_sent"], summary["depth_sent"], summary["paired"]) == (10, 10, 10), out
    assert summary["masks"] + summary["dropped"] == 10 and summary["masks"] >= 1
    assert 0 < summary["latency_median_ms"] <= summary["latency_p95_ms"]
    for words in ("frames sent       10 RGB, 10 depth", "paired            10", "masks per second", "median"):
        assert words in out
    assert not (output / "second_77.png").exists() and (output / "mine.txt").exists()
    for name in ("second_00.png", "contact_sheet.png", "animation.webp"):
        Image.open(output / name).load()
    assert str(output / "contact_sheet.png") in out


@needs_recording
def test_the_only_frames_of_a_recording_that_can_pair_give_a_mask(checkpoint, tmp_path):
    # Its RGB image and the nearest depth image are 101.566 ms apart.
    options = ("--recording", REALSENSE, "--slop", 0.11, "--checkpoint", checkpoint, "--output", tmp_path)
    code, out, err = finish(demo(*options))
    assert code == 0, out + err
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["rgb_sent"], summary["depth_sent"]) == (1, 2)
    assert (summary["paired"], summary["masks"]) == (1, 1)
    assert (tmp_path / "second_00.png").is_file()


@needs_recording
def test_when_nothing_pairs_it_says_why_and_fails(checkpoint, tmp_path):
    options = ("--recording", REALSENSE, "--slop", 0.05, "--checkpoint", checkpoint, "--output", tmp_path)
    code, _, err = finish(demo(*options, "--patience", 1))
    assert code == 1
    assert "no mask came for 1 RGB and 2 depth images" in err
    assert "closest stamps of the two are 0.102 s apart; --slop" in err
    assert "paired 0" in err  # the end of the node's log
    assert "Traceback" not in err


def test_a_node_that_cannot_start_ends_the_demo_with_its_log(folder, checkpoint, tmp_path):
    options = ("--folder", folder, "--checkpoint", checkpoint, "--device", "abacus", "--output", tmp_path)
    code, _, err = finish(demo(*options))
    assert code == 1
    assert "the node ended with exit code 1" in err and "abacus" in err
    assert "Traceback" not in err


def test_a_checkpoint_that_is_missing_is_one_line(folder, tmp_path):
    code, _, err = finish(demo("--folder", folder, "--checkpoint", tmp_path / "no.safetensors"))
    assert code == 1
    assert re.fullmatch(r"asymfusion demo: error: checkpoint .*no\.safetensors does not exist.*\n", err)


def children_of(process: subprocess.Popen) -> list[int]:
    threads = Path(f"/proc/{process.pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_stopping_it_stops_all_its_processes(number, folder, checkpoint, tmp_path):
    def as_in_a_terminal():  # what runs in the background ignores Ctrl-C, and so does all that it starts
        signal.signal(signal.SIGINT, signal.default_int_handler)

    options = ("--folder", folder, "--checkpoint", checkpoint, "--output", tmp_path / "out")
    process = demo(*options, preexec_fn=as_in_a_terminal)
    assert process.stdout is not None
    while "started" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    children = children_of(process)
    assert len(children) == 2  # the node and the player
    process.send_signal(number)
    code, _, err = finish(process, timeout=30)
    assert code == 130
    assert "Traceback" not in err
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
