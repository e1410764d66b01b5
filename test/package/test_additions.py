"""What CONTRIBUTING says it takes to add a modality, a backend, a data set: a file at most, and a line."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_config, write_checkpoint, write_folder
from torch import Tensor

from asymfusion_ros import Segmenter
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.modality import KNOWN, Scalar, Stats
from asymfusion_ros.engine.backends import BACKENDS
from asymfusion_ros.engine.backends.base import Inputs
from asymfusion_ros.engine.backends.torch import TorchBackend
from asymfusion_training.cli import prepare
from asymfusion_training.prepare.data_set import DataSet


class Inverted(TorchBackend):
    """Its most probable class is torch's least probable one."""

    def __call__(self, inputs: Inputs) -> Tensor:
        return -super().__call__(inputs)


def test_a_modality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, "haze", Scalar("haze", "haze/image_rect", stats=Stats((0.5,), (0.25,))))
    path = write_checkpoint(tmp_path / "haze.safetensors", tiny_config(("rgb", "haze")))
    segmenter = Segmenter.from_checkpoint(path, device="cpu")
    rgb, measured = np.zeros((48, 64, 3), np.uint8), np.full((48, 64), 0.75, np.float32)
    images = segmenter.images({"haze": measured})
    inputs = segmenter.preprocess(images, segmenter.upload(images))
    assert inputs["haze"].unique().tolist() == [1.0]  # (0.75 - 0.5) / 0.25
    assert segmenter(rgb, haze=measured).labels.shape == (48, 64)


def test_a_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--frames", type=int, required=True)

    def make(args: argparse.Namespace) -> str:
        write_folder(args.output, frames=args.frames)
        return f"{args.frames} frames"

    stripes = DataSet("stripes", "stripes", "Vertical ones.", "  prepare stripes", add_arguments, make)
    monkeypatch.setattr(prepare, "DATA_SETS", (*prepare.DATA_SETS, stripes))
    output = tmp_path / "stripes"
    assert main(["prepare", "stripes", "--frames", "3", "--output", str(output)]) == 0
    assert capsys.readouterr().out == "3 frames\n"
    assert len(Folder(output).names("train")) == 3
    assert main(["prepare", "check", str(output)]) == 0


def test_a_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "inverted", (__name__, "Inverted"))
    path = write_checkpoint(tmp_path / "tiny.safetensors")
    rgb = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    usual = Segmenter.from_checkpoint(path, device="cpu")(rgb).labels
    inverted = Segmenter.from_checkpoint(path, device="cpu", backend="inverted")(rgb).labels
    assert not (usual == inverted).any()
