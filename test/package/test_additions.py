"""What CONTRIBUTING says it takes to add something: one class, and one line in a registry."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import write_checkpoint
from torch import Tensor, nn

from asymfusion_ros import Segmenter
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.modality import KNOWN, Scalar, Stats
from asymfusion_ros.engine.backends import BACKENDS
from asymfusion_ros.engine.backends.torch import TorchBackend
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.decoders.config import DecoderConfig
from asymfusion_ros.network.decoders.registry import DECODERS, DecoderEntry
from asymfusion_ros.network.encoders.base import Encoder
from asymfusion_ros.network.encoders.registry import ENCODERS, EncoderEntry
from asymfusion_ros.network.fusion.base import Fusion, Spatial
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.registry import FUSIONS, FusionEntry, make_fusion
from asymfusion_ros.network.layers.norms import Available
from asymfusion_ros.network.layers.per_modality import Sharing, convolve


class TwoConvs(Encoder):
    """An encoder of two features, a quarter and an eighth of the input's size."""

    channels = (8, 8)

    def __init__(self, sharing: Sharing, fusion: FusionConfig, output_stride: int | None) -> None:
        super().__init__()
        self.stem = sharing.shared_or_own(lambda: nn.Conv2d(3, 8, 4, stride=4))
        self.norm = sharing.norm(8)
        self.down = sharing.shared_or_own(lambda: nn.Conv2d(8, 8, 2, stride=2))
        self.spatial = sharing.shared_or_own(lambda: nn.Conv2d(8, 8, 3, padding=1))
        self.fusion = make_fusion(fusion, 8, fusion.place(1, last=True, fits=True))

    def forward(self, x: Tensor, available: Available) -> list[Tensor]:
        fine = self.norm(convolve(self.stem, x, available), available)
        coarse = convolve(self.down, fine, available)

        def spatial(x: Tensor) -> Tensor:
            return convolve(self.spatial, x, available)

        return [fine, spatial(coarse) if self.fusion is None else self.fusion(coarse, spatial, available)]


class OneConv(nn.Module):
    """A decoder that reads the finest feature alone."""

    def __init__(self, config: DecoderConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.classifier = nn.Conv2d(channels[0], config.classes, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        logits: Tensor = self.classifier(features[0])
        return logits


class Swap(Fusion):
    """Every modality gets the features of the next one."""

    def __init__(self, config: FusionConfig, channels: int, stage: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, spatial: Spatial, available: Available) -> Tensor:
        return spatial(x.roll(x.shape[0] // len(available), 0))


class Inverted(TorchBackend):
    """A backend whose most probable class is torch's least probable one."""

    def __call__(self, inputs):  # type: ignore[no-untyped-def]
        return -super().__call__(inputs)


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> NetworkConfig:
    """A network of an encoder, a decoder and a fusion that are registered here."""
    monkeypatch.setitem(ENCODERS, "two_convs", EncoderEntry(TwoConvs, strides=(4, 8), stages=2))
    monkeypatch.setitem(DECODERS, "one_conv", DecoderEntry(OneConv, reads=2))
    monkeypatch.setitem(FUSIONS, "swap", FusionEntry(Swap))
    return NetworkConfig(
        architecture="one_conv", encoder="two_convs", fusion="swap", classes=3, modalities=("rgb", "haze")
    )


@pytest.fixture
def haze(monkeypatch: pytest.MonkeyPatch) -> None:
    """A modality that is registered here."""
    monkeypatch.setitem(KNOWN, "haze", Scalar("haze", "haze/image_rect", stats=Stats((0.5,), (0.25,))))


def test_an_encoder_a_decoder_and_a_fusion(config: NetworkConfig) -> None:
    network = build_network(config)
    out = network(list(torch.randn(2, 1, 3, 32, 48)))
    assert out.ensemble.shape == (1, 3, 8, 12)
    assert isinstance(network.encoder.fusion, Swap)
    assert NetworkConfig.from_dict(config.to_dict()) == config


def test_a_modality(config: NetworkConfig, haze: None, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "haze.safetensors", config, InputSpec(height=32, width=48))
    segmenter = Segmenter.from_checkpoint(path, device="cpu")
    rgb, measured = np.zeros((32, 48, 3), np.uint8), np.full((32, 48), 0.75, np.float32)
    images = segmenter.images({"haze": measured})
    inputs = segmenter.preprocess(images, segmenter.upload(images))
    assert inputs["haze"].unique().tolist() == [1.0]  # (0.75 - 0.5) / 0.25
    assert segmenter(rgb, haze=measured).labels.shape == (32, 48)


def test_a_backend(
    config: NetworkConfig, haze: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "inverted", (__name__, "Inverted"))
    path = write_checkpoint(tmp_path / "haze.safetensors", config, InputSpec(height=32, width=48))
    rgb = np.random.default_rng(0).integers(0, 255, (32, 48, 3), np.uint8)
    usual, inverted = (
        Segmenter.from_checkpoint(path, device="cpu", backend=name)(rgb).labels
        for name in ("torch", "inverted")
    )
    assert not (usual == inverted).any()
