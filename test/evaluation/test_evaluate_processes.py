"""The same scores from several processes: the command's own, and those of torchrun."""

import json
import os
import subprocess
import sys

import pytest
from helpers import refused, tiny_checkpoint, write_folder

from asymfusion_ros.cli.main import main


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("processes")
    tiny_checkpoint(home)
    write_folder(home / "stripes", frames=5, size=(60, 96))
    return home


def call(home, name):
    """The command line of a run that writes NAME.json and masks into NAME."""
    words = ["evaluate", home / "tiny.safetensors", "--data", home / "stripes", "--split", "train"]
    words += ["--device", "cpu", "--flip", "--depth-holes", 0.3, "--bootstrap"]
    words += ["--json", home / f"{name}.json", "--save-masks", home / name]
    return [str(word) for word in words]


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}


@pytest.fixture(scope="module")
def alone(home):
    """The report and the masks of a run in one process."""
    assert main(call(home, "alone")) == 0
    return json.loads((home / "alone.json").read_text()), files(home / "alone")


def test_processes_of_the_command(home, alone, capfd):
    assert main([*call(home, "two"), "--processes", "2"]) == 0
    assert json.loads((home / "two.json").read_text()) == alone[0]
    assert files(home / "two") == alone[1]
    assert len(alone[1]) == 10
    printed = capfd.readouterr()
    assert printed.out.startswith("stripes train: 5 frames")
    said = printed.err.splitlines()
    assert all(line.lstrip("\r").startswith("evaluate:") for line in said if line.strip()), said


def test_processes_of_torchrun(home, alone):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [*torchrun, "-m", "asymfusion_ros.cli.main", *call(home, "torchrun")],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads((home / "torchrun.json").read_text()) == alone[0]
    assert files(home / "torchrun") == alone[1]
    assert ran.stdout.count("5 frames, checkpoint") == 1


def test_a_broken_frame_in_another_process(home, tmp_path, capsys):
    data = write_folder(tmp_path / "stripes", frames=4)
    (data / "label" / "frame3.png").write_bytes(b"")
    arguments = ("--data", data, "--split", "train", "--device", "cpu", "--processes", 2)
    line = refused(capsys, "evaluate", home / "tiny.safetensors", *arguments)
    assert f"{data / 'label' / 'frame3.png'} is empty (0 bytes)" in line
