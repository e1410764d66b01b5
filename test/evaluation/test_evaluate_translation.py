"""Scores of made images: by hand, on the command line, and what FID and KID ask for before anything runs."""

import hashlib
import json
import math
import sys

import numpy as np
import pytest
import torch
from generated_views import prepared_views
from helpers import refused
from unets import register_tiny_unet, write_translation_checkpoint

from asymfusion_ros.cli.main import main
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.evaluation import inception_scores
from asymfusion_training.evaluation.image_scores import image_scores
from asymfusion_training.evaluation.inception_scores import WEIGHTS_SHA256, check_inception
from asymfusion_training.evaluation.translation_scores import mean_difference


@pytest.fixture(autouse=True)
def tiny_unet(monkeypatch):
    register_tiny_unet(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("views")
    return prepared_views(root, ("depth", "shade"), views=3, size=64, train=2, val=3)


@pytest.fixture
def checkpoint(tmp_path):
    return write_translation_checkpoint(tmp_path / "night.safetensors")


def test_scores_by_hand():
    truth = torch.full((2, 3, 32, 32), 100, dtype=torch.uint8)
    made = truth.clone()
    made[1] += 51  # a fifth of 255 everywhere
    (same, off) = image_scores(made, truth).tolist()
    assert same == [0, 100, pytest.approx(1)]
    assert off[:2] == pytest.approx([0.2, -10 * math.log10(0.04)])
    # constant images: no variance, so the means alone count (with the constant 0.01 squared)
    one, other = 100 / 255, 151 / 255
    assert off[2] == pytest.approx((2 * one * other + 1e-4) / (one**2 + other**2 + 1e-4), rel=1e-4)


def test_the_interval_of_a_difference():
    rng = np.random.default_rng(1)
    one, apart = rng.random(400), rng.normal(0.1, 0.05, 400)
    value, low, high = mean_difference(one + apart, one)
    assert value == pytest.approx(apart.mean())
    spread = 1.96 * apart.std() / 20  # of a mean of 400
    assert (low, high) == (pytest.approx(value - spread, rel=0.02), pytest.approx(value + spread, rel=0.02))


def test_the_command(data, checkpoint, tmp_path, capsys):
    words = ["evaluate", checkpoint, "--data", data, "--device", "cpu", "--bootstrap"]
    words += ["--json", tmp_path / "scores.json", "--results", tmp_path / "page"]
    assert main([str(word) for word in words]) == 0
    printed = capsys.readouterr().out
    assert "3 frames" in printed and "L1 of ensemble - shade:" in printed
    report = json.loads((tmp_path / "scores.json").read_text())
    assert (report["target"], report["frames"], report["modalities"]) == ("rgb", 3, ["depth", "shade"])
    assert list(report["branches"]) == ["depth", "shade", "ensemble"]
    scores = report["branches"]["ensemble"]
    assert 0 < scores["l1"] < 1 and 0 < scores["psnr"] < 40 and -1 < scores["ssim"] < 1
    apart = scores["l1"] - report["branches"]["depth"]["l1"]
    found = report["bootstrap"]["differences"][0]
    assert (found["other"], found["difference"]) == ("depth", pytest.approx(apart))
    assert (tmp_path / "page" / "results.html").read_text().count("truth: rgb</td>") == 3


def test_one_domain_alone(data, checkpoint, tmp_path):
    words = ["evaluate", checkpoint, "--data", data, "--device", "cpu", "--modalities", "shade"]
    assert main([str(word) for word in (*words, "--limit", 1, "--json", tmp_path / "s.json")]) == 0
    branches = json.loads((tmp_path / "s.json").read_text())["branches"]
    assert list(branches) == ["shade", "ensemble"] and branches["shade"] == branches["ensemble"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--flip"], "--flip is for checkpoints that make masks"),
        (["--save-masks", "masks"], "--save-masks is for checkpoints that make masks"),
        (["--modalities", "smell"], "'smell' is not one of the checkpoint's depth, shade"),
        (
            ["--scores", "fid"],
            "FID and KID need the weights of their Inception network: --inception w",
        ),
        (["--scores", "kid", "--inception", "gone.pth"], "--inception gone.pth cannot be read: No such file"),
    ],
)
def test_what_is_refused(data, checkpoint, capsys, options, named):
    assert named in refused(capsys, "evaluate", checkpoint, "--data", data, "--device", "cpu", *options)


def test_masks_have_no_such_scores(data, capsys):
    line = refused(capsys, "evaluate", "default", "--data", data, "--scores", "l1")
    assert "--scores is for checkpoints that make images; this one makes masks" in line


def test_other_weights_are_not_opened(tmp_path, monkeypatch):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x02 a pickle that would run")
    with pytest.raises(UserError, match="has SHA-256 .*, not 6726825d0af5f729...: it is not opened"):
        check_inception(path)
    assert len(WEIGHTS_SHA256) == 64
    # the file is the right one, and torch-fidelity is not there
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(inception_scores, "WEIGHTS_SHA256", digest)
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(ConfigError, match=r"pip install 'asymfusion_ros\[fid\]', with the torchvision"):
        check_inception(path)
