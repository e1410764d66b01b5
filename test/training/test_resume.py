"""A run that is killed and resumed ends with the weights of one that was not."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from helpers import refused, write_folder
from safetensors.torch import load_file

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_training.loop.state import FILE, save_state

# Everything that a step's outcome can depend on: dropout, a modality left out, averaged weights, parts.
RECIPE = """\
network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8, dropout: 0.2}
input: {height: 48, width: 64}
pretrained: none
epochs: 4
batch: 4
accumulate: 2
encoder_rate: 5e-4
validate_every: 3
modality_dropout: 0.5
class_balance: 0.5
ema: 0.9
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("resume")
    (root / "r.yaml").write_text(RECIPE)
    write_folder(root / "data", frames=12)
    return root


def arguments(made, output, *more):
    words = ["train", "--data", made / "data", "--recipe", made / "r.yaml", "--output", output]
    return [str(word) for word in (*words, "--device", "cpu", "--save-every", 0, *more)]


@pytest.fixture(scope="module")
def whole(made):
    assert main(arguments(made, made / "whole", "--workers", 0)) == 0
    return made / "whole"


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))
    return one == other


@pytest.mark.parametrize("after", [2, 7])
def test_killed_and_resumed_is_bitwise_the_same(made, whole, tmp_path, after):
    run = tmp_path / "killed"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "asymfusion_ros.cli.main", *arguments(made, run, "--workers", 1)]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        step = -1
        while step < after:
            assert process.poll() is None and time.monotonic() < deadline
            if (run / FILE).exists():
                step = torch.load(run / FILE, weights_only=True)["step"]
        os.killpg(process.pid, signal.SIGKILL)
    killed_at = torch.load(run / FILE, weights_only=True)["step"]
    assert after <= killed_at < 12

    assert main(arguments(made, run, "--workers", 0, "--resume")) == 0
    for name in ("best", "last"):
        ours, theirs = (load_file(folder / f"{name}.safetensors") for folder in (run, whole))
        assert same(ours, theirs), name
    ours, theirs = (load_checkpoint(folder / "best.safetensors").temperatures for folder in (run, whole))
    assert len(ours) == 3 and ours == theirs
    ours, theirs = (torch.load(folder / FILE, weights_only=True) for folder in (run, whole))
    for state in (ours, theirs):
        del state["minutes"]
    assert same(ours, theirs)
    lines = [(folder / "history.jsonl").read_text().splitlines() for folder in (run, whole)]
    assert len(lines[0]) == len(lines[1]) == 4


def test_resuming_a_finished_run_changes_nothing(made, whole):
    names = ("best", "last")
    before = [load_checkpoint(whole / f"{name}.safetensors") for name in names]
    assert main(arguments(made, whole, "--workers", 0, "--resume")) == 0
    for name, checkpoint in zip(names, before):
        found = load_checkpoint(whole / f"{name}.safetensors")
        assert same(found.state_dict, checkpoint.state_dict)
        assert found.to_metadata() == checkpoint.to_metadata()


def test_runs_that_cannot_be_resumed(made, whole, tmp_path, capsys):
    def line(output, *more):
        return refused(capsys, *arguments(made, output, "--resume", *more))

    assert "there is no run to resume" in line(tmp_path)
    assert "recipe: epochs is 9, but the run in" in line(whole, "--set", "epochs=9")
    (tmp_path / FILE).write_bytes(b"PK\x03\x04 cut short")
    assert f"{FILE} cannot be read" in line(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda state: state.update(step=-1), "its step cannot be that of a run"),
        (lambda state: state.update(best="x"), "its best cannot be that of a run"),
        (lambda state: state.update(recipe=[1]), "is not the state of a run"),
        (lambda state: state.pop("precision"), "does not fit this run"),
        (lambda state: state.update(optimiser=[{}]), "does not fit this run"),
        (lambda state: state["network"].popitem(), "does not fit this run"),
    ],
)
def test_a_state_that_is_damaged_and_still_loads(made, whole, tmp_path, capsys, change, named):
    state = torch.load(whole / FILE, weights_only=True)
    change(state)
    torch.save(state, tmp_path / FILE)
    line = refused(capsys, *arguments(made, tmp_path, "--resume"))
    assert str(tmp_path / FILE) in line and named in line


class Malicious:
    def __reduce__(self):
        return (os.system, ("touch ran",))


def test_a_state_is_never_executed(made, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"step": Malicious()}, tmp_path / FILE)
    assert f"{FILE} cannot be read" in refused(capsys, *arguments(made, tmp_path, "--resume"))
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_leaves_the_state_before_whole(tmp_path):
    """/dev/full answers every write as a full disk does."""
    save_state(tmp_path, {"step": 1})
    (tmp_path / f"{FILE}.partial").symlink_to("/dev/full")
    with pytest.raises(Exception, match="No space left on device.*--resume"):
        save_state(tmp_path, {"step": 2, "weights": torch.zeros(100_000)})
    assert torch.load(tmp_path / FILE, weights_only=True)["step"] == 1
