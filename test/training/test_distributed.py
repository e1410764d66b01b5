"""Several processes train as one does with their batches put together."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import refused, write_checkpoint, write_folder
from safetensors.torch import load_file

from asymfusion_ros.cli.main import main

HERE = Path(__file__).resolve().parent
PLACES = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]  # helpers.py, and what is tested
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo",
    "PYTHONPATH": os.pathsep.join(PLACES),
}

RECIPE = """\
network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8, dropout: 0}
input: {height: 48, width: 64}
pretrained: none
epochs: 2
batch: 4
optimiser: sgd
encoder_rate: 1e-3
decoder_rate: 1e-3
validate_every: 2
modality_dropout: 0.5
"""


def finished(command):
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_two_processes_have_the_gradients_of_one_with_the_doubled_batch(tmp_path):
    program = str(HERE / "distributed_gradients.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]
    finished([*torchrun, "--nproc-per-node", "2", program, str(tmp_path / "two.pt")])
    finished([sys.executable, program, str(tmp_path / "one.pt")])
    two, one = (torch.load(tmp_path / f"{name}.pt", weights_only=True) for name in ("two", "one"))
    assert one["grads"].keys() == two["grads"].keys()
    largest = max(float(expected.norm()) for expected in one["grads"].values())
    for name, expected in one["grads"].items():
        # Sums in another order take single activations across their kink. Uneven parts taken for even ones
        # are off by 15 % and more, norms of one process by 100 %.
        off = float((two["grads"][name] - expected).norm())
        # A bias that the next norm takes away again has a gradient of rounding errors.
        assert off < 0.02 * max(float(expected.norm()), 1e-2 * largest), name
    # the running statistics are of all frames together, each modality's apart
    for name, expected in one["buffers"].items():
        torch.testing.assert_close(two["buffers"][name], expected, rtol=1e-4, atol=1e-5, msg=name)
    mean = one["buffers"]["encoder.stem_norm.running_mean"]
    assert not torch.allclose(mean[0], mean[1], rtol=0.1)


@pytest.mark.parametrize(
    "more",
    [
        # A modality that is left out leaves the layers that are the other's alone without a gradient.
        ["--set", "network.shared_convs=false", "--set", "network.fusion=concat"],
        ["--set", "teachers=[teacher.safetensors]", "--set", "teacher_scales=[1.0]"],
    ],
)
def test_the_command_trains_with_two_processes_as_with_one(tmp_path, monkeypatch, more):
    (tmp_path / "r.yaml").write_text(RECIPE)
    write_folder(tmp_path / "data", frames=8)
    write_checkpoint(tmp_path / "teacher.safetensors")
    monkeypatch.chdir(tmp_path)
    command = ["train", "--data", tmp_path / "data", "--recipe", tmp_path / "r.yaml", "--device", "cpu"]
    command = [str(word) for word in (*command, "--workers", 0, *more)]
    two = ["--devices", "2", "--output", str(tmp_path / "two")]
    finished([sys.executable, "-m", "asymfusion_ros.cli.main", *command, *two])
    assert main([*command, "--output", str(tmp_path / "one")]) == 0
    two, one = (load_file(tmp_path / name / "last.safetensors") for name in ("two", "one"))
    for name, expected in one.items():
        # both are stored with 11 significant bits
        torch.testing.assert_close(two[name], expected, rtol=5e-3, atol=2e-3, msg=name)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--devices", "3"], "a batch of 4 cannot be shared by 3 processes"),
        (["--devices", "0"], "--devices is 0"),
        (["--set", "precision=fp16"], "fp16 needs a GPU"),
        (["--device", "cuda", "--devices", "99"], "99 GPUs" if torch.cuda.is_available() else "cuda"),
    ],
)
def test_what_this_machine_cannot_do(tmp_path, capsys, more, named):
    (tmp_path / "r.yaml").write_text(RECIPE)
    data = write_folder(tmp_path / "data", frames=8)
    command = ["train", "--data", data, "--recipe", tmp_path / "r.yaml", "--output", tmp_path / "run"]
    if more == ["--devices", "3"]:
        # refused by each of the processes, once they are three
        words = [str(word) for word in (*command, "--device", "cpu", *more)]
        done = subprocess.run(
            [sys.executable, "-m", "asymfusion_ros.cli.main", *words],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 1 and named in done.stderr
        return
    assert named in refused(capsys, *command, *(() if "--device" in more else ("--device", "cpu")), *more)
