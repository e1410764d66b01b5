"""A new encoder, decoder or fusion is a file and one line in a registry: here this file and three lines."""

import json
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.inspection.exchange import sites
from asymfusion_ros.inspection.stages import stages
from asymfusion_ros.inspection.trace import on_meta, trace
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.decoders.registry import DECODERS, DecoderEntry
from asymfusion_ros.network.encoders.base import Encoder
from asymfusion_ros.network.encoders.registry import ENCODERS, EncoderEntry
from asymfusion_ros.network.fusion.base import Fusion, fusion_tensors
from asymfusion_ros.network.fusion.registry import FUSIONS, FusionEntry, make_fusion
from asymfusion_ros.network.layers.per_modality import convolve


class Block(nn.Module):
    """3 x 3 convolution with stride 2 and norm, then one that the fusion is around."""

    def __init__(self, sharing, fusion, inputs, outputs, stage):
        super().__init__()
        self.first = sharing.shared_or_own(lambda: nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False))
        self.first_norm = sharing.norm(outputs)
        self.second = sharing.shared_or_own(lambda: nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False))
        self.second_norm = sharing.norm(outputs)
        self.fusion = make_fusion(fusion, outputs, fusion.place(stage, last=True, fits=True))

    def forward(self, x, available):
        x = F.relu(self.first_norm(convolve(self.first, x, available), available))

        def spatial(x):
            return F.relu(self.second_norm(convolve(self.second, x, available), available))

        return spatial(x) if self.fusion is None else self.fusion(x, spatial, available)


class ToyEncoder(Encoder):
    channels = (4, 6, 8)

    def __init__(self, sharing, fusion, output_stride=None):
        super().__init__()
        widths = (3, *self.channels)
        self.blocks = nn.ModuleList(
            Block(sharing, fusion, widths[i], widths[i + 1], stage=i + 1) for i in range(3)
        )

    def forward(self, x, available):
        features = []
        for block in self.blocks:
            x = block(x, available)
            features.append(x)
        return features


class ToyDecoder(nn.Module):
    def __init__(self, config, channels):
        super().__init__()
        self.reduce = nn.ModuleList(nn.Conv2d(count, config.width, 1) for count in channels)
        self.dropout = config.dropout_layer()
        self.classifier = nn.Conv2d(config.width, config.classes, 1)

    def forward(self, features):
        size = features[0].shape[-2:]
        reduced = [layer(feature) for layer, feature in zip(self.reduce, features)]
        return self.classifier(self.dropout(sum(F.interpolate(x, size) for x in reduced)))


class ToyFusion(Fusion):
    """Adds what a learnt convolution makes of the mean over all modalities."""

    def __init__(self, config, channels, stage):
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x, spatial, available):
        mean = x.unflatten(0, (len(available), -1)).mean(0)
        return spatial(x) + self.mix(mean).repeat(len(available), 1, 1, 1)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(ENCODERS, "toy", EncoderEntry(ToyEncoder, strides=(2, 4, 8), stages=3))
    monkeypatch.setitem(DECODERS, "toy", DecoderEntry(ToyDecoder, reads=1))
    monkeypatch.setitem(FUSIONS, "toy", FusionEntry(ToyFusion, parametric=True))


def config(**settings):
    settings = {"architecture": "toy", "encoder": "resnet18", "fusion": "asymmetric", **settings}
    return NetworkConfig(classes=4, modalities=("rgb", "depth", "thermal"), decoder_channels=8, **settings)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("settings", "stride"),
    [
        ({"encoder": "toy", "fusion": "toy"}, 2),
        ({"encoder": "toy"}, 2),
        ({"encoder": "toy", "fusion": "attention"}, 2),
        ({"fusion": "toy"}, 4),
        ({"architecture": "refinenet_lw", "fusion": "toy"}, 4),
        ({"architecture": "deeplabv3plus", "encoder": "xception65", "fusion": "toy"}, 4),
        ({"encoder": "efficientnet_lite0", "fusion": "none"}, 4),
    ],
)
def test_what_is_registered_can_be_built_and_run(settings, stride, shared):
    made = config(shared_convs=shared, **settings)
    assert NetworkConfig.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    network = build_network(made)
    images = [torch.randn(2, 3, 64, 64) for _ in range(3)]
    for given in (images, [None, images[1], None]):
        out = network(given)
        assert tuple(out.ensemble.shape) == (2, 4, 64 // stride, 64 // stride)
        out.ensemble.sum().backward()
    assert all(p.grad is not None for name, p in network.named_parameters() if name != "ensemble.alpha")
    network.eval()
    with torch.inference_mode():
        full, same = network(images).ensemble, network([image.clone() for image in images]).ensemble
    assert torch.equal(full, same)


def test_a_registered_fusion_is_known_to_whoever_asks_about_fusions():
    made = config(encoder="toy", fusion="toy")
    network = on_meta(made)
    assert fusion_tensors(network.encoder) == {
        f"blocks.{i}.fusion.mix.{name}" for i in range(3) for name in ("weight", "bias")
    }
    visits = trace(network, (64, 96))
    found = sites(network, made, visits, stages(network, visits, (64, 96)))
    assert [(site.block, site.channels, site.height, site.width) for site in found] == [
        ("encoder.blocks.0", 4, 32, 48),
        ("encoder.blocks.1", 6, 16, 24),
        ("encoder.blocks.2", 8, 8, 12),
    ]
    assert [site.flops for site in found] == [
        2 * c * c * h * w for c, h, w in ((4, 32, 48), (6, 16, 24), (8, 8, 12))
    ]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (
            {"architecture": "refinenet", "encoder": "toy"},
            "toy goes with toy alone; refinenet reads 4 resolutions",
        ),
        ({"architecture": "deeplabv3plus", "encoder": "toy"}, "toy strides down to 1/8"),
        ({"encoder": "toy", "fusion_stages": (4,)}, "4 is not a stage of toy, which has 1 to 3"),
        ({"variant": "released"}, "variant: 'released' is RefineNet"),
        ({"fusion": "toys"}, "choose one of none, shuffle, .*, mmf, toy"),
    ],
)
def test_what_does_not_go_together_follows_from_the_entries(settings, named):
    with pytest.raises(ConfigError, match=named):
        config(**settings)


def test_an_encoder_whose_package_is_missing_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    made = NetworkConfig("refinenet_lw", "timm:mobilenetv2_100")  # a checkpoint's description can be read
    with pytest.raises(ConfigError, match=r"needs timm, .*: pip install 'asymfusion_ros\[timm\]'"):
        build_network(made)
