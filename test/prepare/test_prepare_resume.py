"""`asymfusion prepare` that is interrupted, or given again: nothing half-written, nothing made twice."""

import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest
from helpers import refused
from miniatures import FRAMES, HEIGHT, WIDTH, nyudv2_call

from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder


@pytest.fixture
def call(tmp_path):
    return nyudv2_call(tmp_path)


@pytest.fixture
def mat(call):
    return Path(call[call.index("--mat") + 1])


def edit(mat, name, index, value):
    with h5py.File(mat, "r+") as file:
        file[name][index] = value


def test_a_wrong_frame_stops_no_other_and_a_rerun_makes_it_alone(mat, call, tmp_path, capsys):
    with h5py.File(mat) as file:
        sound = file["labels"][4]
    edit(mat, "labels", (4, 1, 1), 77)
    edit(mat, "labels", (5, 1, 1), 78)
    line = refused(capsys, *call)
    assert f"{mat}: frame 5 has label 77, but names has 5 classes (and 1 more frames are wrong)" in line
    root = tmp_path / "nyu"
    assert not (root / "dataset.yaml").exists()
    assert not list(root.glob("*.txt"))
    assert "nyu is unfinished" in refused(capsys, "prepare", "check", root)
    made = {path: path.stat().st_mtime_ns for path in root.glob("*/*.png")}
    assert len(made) == 3 * FRAMES - 2

    edit(mat, "labels", 4, sound)
    edit(mat, "labels", 5, sound)
    assert main(call) == 0
    assert "10 frames of 10x6, 2 of them made now" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert Folder(root).read("000005").label.shape == (HEIGHT, WIDTH)
    assert sorted(path.name for path in root.iterdir()) == [
        *("dataset.yaml", "depth", "label", "rgb", "test.txt", "train.txt", "trainval.txt", "val.txt")
    ]
    # a frame that is lost later is made again
    (root / "depth" / "000002.png").unlink()
    assert main(call) == 0
    assert "1 of them made now" in capsys.readouterr().out
    assert (root / "depth" / "000002.png").exists()


def test_kill_9_leaves_nothing_half_written(call, tmp_path, capsys):
    """A pipe in the place of a file being written holds the process there, for it to be killed."""
    root = tmp_path / "nyu"
    assert main(call) == 0
    whole = {path: path.read_bytes() for path in root.rglob("*.*")}
    for path in [path for path in whole if path.suffix == ".png"]:
        path.unlink()
    pipe = root / "depth" / "000006.png.part"
    os.mkfifo(pipe)
    before = root / "rgb" / "000006.png"
    running = subprocess.Popen(
        [sys.executable, "-m", "asymfusion_ros.cli.main", *call, "--workers", "1"], stderr=subprocess.DEVNULL
    )
    try:
        while not before.exists() and running.poll() is None:
            time.sleep(0.01)
    finally:
        running.kill()
        running.wait()
    made = list(root.rglob("*.png"))
    assert len(made) == 16  # five frames, and the image of the sixth
    assert all(path.read_bytes() == whole[path] for path in made)
    pipe.unlink()
    # an empty file is what a failing power supply leaves of one that was never synced
    (root / "label" / "000001.png").write_bytes(b"")
    (root / "label" / "000009.png.part").write_bytes(b"half")
    assert main(call) == 0
    assert {path: path.read_bytes() for path in root.rglob("*.*")} == whole


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full to stand for a full disk")
def test_a_full_disk(call, tmp_path, capsys):
    root = tmp_path / "nyu"
    assert main(call) == 0
    (root / "rgb" / "000003.png").unlink()
    (root / "rgb" / "000003.png.part").symlink_to("/dev/full")
    capsys.readouterr()
    assert f"the disk of {root} is full: free some space and run the same command again" in refused(
        capsys, *call
    )
    assert main(call) == 0
    assert Folder(root).read("000003").images["rgb"].shape == (HEIGHT, WIDTH, 3)


def test_other_options_do_not_mix_with_what_is_there(call, tmp_path, capsys):
    assert main(call) == 0
    line = refused(capsys, *call, "--raw-depth")
    assert "dataset.yaml describes another data set, or one made with other options" in line
    other = tmp_path / "mine"
    (other / "rgb").mkdir(parents=True)
    assert "mine is not empty and was not made by this command" in refused(capsys, *call[:-1], other)
    assert f"cannot write {tmp_path / 'splits.mat'}" in refused(capsys, *call[:-1], tmp_path / "splits.mat")
