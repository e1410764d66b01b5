"""A lower precision is taken unasked where the hardware has it and the checkpoint's own record has passed."""

import json
from dataclasses import replace

import pytest
import torch
from helpers import refused, tiny_checkpoint, write_checkpoint, write_folder
from safetensors import safe_open

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.checkpoint.precision_check import PrecisionCheck
from asymfusion_ros.cli.main import main
from asymfusion_ros.engine import precision as precisions
from asymfusion_ros.engine.backends import torch as torch_backend
from asymfusion_ros.engine.precision import choose_precision
from asymfusion_ros.errors import CheckpointError, ConfigError
from asymfusion_ros.export.precision import RoundedBackend


def check(precision="bf16", agreement=0.99, lost=0.0, way="torch"):
    return PrecisionCheck(way, precision, 109, agreement, 0.31 - lost, 0.31, "nyudv2 val", "x")


@pytest.mark.parametrize(
    ("one", "passes"),
    [
        (check("bf16", 0.985), True),
        (check("bf16", 0.9849), False),
        (check("fp16", 0.995), True),
        (check("fp16", 0.985), False),
        (check("fp16", 1.0, lost=0.0019), True),
        (check("fp16", 1.0, lost=0.0021), False),
        (check("fp16", 1.0, lost=-0.05), True),  # more is no loss
    ],
)
def test_what_passes(one, passes):
    assert one.passed == passes


def chosen(name="auto", fast=("fp16", "bf16"), checks=()):
    return choose_precision(name, fast, checks, "torch", "this GPU")


def test_auto_goes_by_hardware_and_record():
    good = [check("fp16", 0.999), check("bf16")]
    assert chosen(checks=good).name == "fp16"
    assert "99.90% of the pixels as in fp32, mean IoU 31.00" in chosen(checks=good).why
    assert chosen(checks=good, fast=("bf16",)).name == "bf16"
    assert chosen(checks=good[1:]).name == "bf16"
    assert chosen(checks=good, fast=()) == precisions.Precision("fp32", "this GPU has nothing faster")
    bad = chosen(checks=[check("fp16", 0.9)])
    assert bad.name == "fp32"
    assert "fp16 did not pass" in bad.why and "no check of bf16" in bad.why
    assert chosen(checks=[replace(one, way="compiled") for one in good]).name == "fp32"
    assert chosen("bf16", fast=()) == precisions.Precision("bf16", "as asked for")
    with pytest.raises(ConfigError, match="unknown precision 'int4': use auto, fp32"):
        chosen("int4")


def test_the_segmenter_says_which_and_why(tmp_path, monkeypatch):
    checkpoint = replace(tiny_checkpoint(tmp_path), precision_checks=[check("bf16")])
    monkeypatch.setattr(torch_backend, "fast_precisions", lambda device: ("bf16",))
    backend = Segmenter(checkpoint, "cpu").backend
    assert backend.precision == "bf16" and "check passed" in backend.precision_reason
    monkeypatch.setattr(torch_backend, "fast_precisions", lambda device: ())
    backend = Segmenter(checkpoint, "cpu").backend
    assert backend.precision == "fp32" and backend.precision_reason == "this processor has nothing faster"


def test_checks_come_back_from_the_file(tmp_path):
    checks = (check("fp16"), check("bf16", way="compiled"))
    path = tmp_path / "checked.safetensors"
    replace(tiny_checkpoint(tmp_path), precision_checks=checks).save(path)
    assert load_checkpoint(path).precision_checks == checks


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        [7],
        [{"way": "torch"}],
        [{**check().to_dict(), "agreement": 2}],
        [{**check().to_dict(), "mean_iou": float("nan")}],
        [{**check().to_dict(), "frames": True}],
        [{**check().to_dict(), "precision": "int4"}],
        [{**check().to_dict(), "way": ["torch"]}],
    ],
)
def test_a_damaged_record_is_refused(tmp_path, wrong):
    checkpoint = tiny_checkpoint(tmp_path)
    metadata = {**checkpoint.to_metadata(), "precision_checks": json.dumps(wrong)}
    with pytest.raises(CheckpointError):
        type(checkpoint).from_metadata(metadata, "it")


def test_rounding_is_what_the_precision_holds(tmp_path):
    """Every weight is one of bf16, but those of the first layers; and the coarser precision is the further
    from float32."""
    checkpoint = tiny_checkpoint(tmp_path)
    generator = torch.Generator().manual_seed(0)
    inputs = {name: torch.randn(1, 3, 48, 64, generator=generator) for name in ("rgb", "depth")}
    exact = Segmenter(checkpoint, "cpu", "fp32").backend(inputs)
    far = {}
    for way in ("torch", "compiled"):
        for name in ("fp16", "bf16"):
            backend = RoundedBackend(checkpoint, name, way)
            far[way, name] = float((backend(inputs) - exact).abs().mean())
    weights = dict(backend._network.named_parameters())
    convolutions = [name for name, weight in weights.items() if weight.dim() == 4]
    exact = [
        name for name in convolutions if not torch.equal(weights[name], weights[name].bfloat16().float())
    ]
    assert exact == [f"encoder.{name}.weight" for name in ("stem", "blocks.0.depthwise", "blocks.0.project")]
    assert torch.equal(weights[exact[0]], checkpoint.state_dict[exact[0]])
    for way in ("torch", "compiled"):
        assert 0 < far[way, "fp16"] < far[way, "bf16"] / 3


def test_the_command_writes_the_record(tmp_path, capsys):
    path, data = write_checkpoint(tmp_path / "tiny.safetensors"), write_folder(tmp_path / "data", frames=2)
    output = tmp_path / "checked.safetensors"
    words = ["evaluate", path, "--data", data, "--device", "cpu", "--check-precisions", output]
    assert main([str(word) for word in words]) == 0
    checks = load_checkpoint(output).precision_checks
    found = [(one.way, one.precision) for one in checks]
    assert found == [("torch", "fp16"), ("torch", "bf16"), ("compiled", "fp16"), ("compiled", "bf16")]
    assert all(one.frames == 2 and 0.5 < one.agreement <= 1 for one in checks)
    assert len({one.mean_iou_fp32 for one in checks}) == 1
    assert "fp16, torch: " in capsys.readouterr().out
    with safe_open(path, "pt") as before, safe_open(output, "pt") as after:
        assert all(torch.equal(before.get_tensor(key), after.get_tensor(key)) for key in before.keys())  # noqa: SIM118
    assert main(["info", str(output)]) == 0
    assert "fp16        torch: " in capsys.readouterr().out
    named = refused(
        capsys, "evaluate", path, "--data", data, "--device", "cpu", "--check-precisions", tmp_path / "x.onnx"
    )
    assert "--check-precisions" in named and "name the checkpoint to write" in named
