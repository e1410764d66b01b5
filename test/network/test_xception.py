"""Xception65 under DeepLabv3+: its size, its strides, and every layer against a plain network."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.fusion.asymmetric import channel_shuffle, paper_groups, pixel_shift
from asymfusion_ros.network.fusion.routing import everyone_else
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d

NAMES = ("rgb", "depth")


def config(modalities=2, **settings):
    settings = {"classes": 5, "decoder_channels": 8, **settings}
    return NetworkConfig("deeplabv3plus", "xception65", modalities=NAMES[:modalities], **settings)


def count(**settings):
    with torch.device("meta"):
        network = build_network(config(classes=19, decoder_channels=None, **settings))
    return sum(p.numel() for p in network.parameters() if p is not network.ensemble.alpha)


def test_parameter_counts():
    """Of the reference's layers, 19 classes, alpha left out: a second modality adds its encoder's norms."""
    assert count(modalities=1) == 41_054_899
    assert count() == 41_054_899 + 185_200
    assert count(shared_convs=False) == 2 * 41_054_899
    assert count(private_norms=False) == 41_054_899


def with_random_norms(network):
    """Norms that differ in every channel and modality, and weights that keep the signal's scale."""
    for module in network.modules():
        if isinstance(module, PrivateBatchNorm2d):
            nn.init.uniform_(module.weight, 0.7, 1.3)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.05)
            nn.init.uniform_(module.running_var, 0.1, 0.5)
    nn.init.normal_(network.decoder.classifier.weight, std=0.3)
    return network.eval()


class Plain:
    """The network as a function of its state dict, one modality after the other in lists."""

    def __init__(self, network):
        self.weights, self.modalities = network.state_dict(), len(network.config.modalities)

    def conv(self, xs, name, stride=1, rate=1):
        weight = self.weights[f"{name}.weight"]
        groups = xs[0].shape[1] // weight.shape[1]
        padding = rate * (weight.shape[-1] // 2)
        return [
            F.conv2d(x, weight, self.weights.get(f"{name}.bias"), stride, padding, rate, groups) for x in xs
        ]

    def norm(self, xs, name, eps=1e-3):
        tables = [
            self.weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        ]
        rows = range(self.modalities) if len(tables[0]) > 1 else [0] * self.modalities
        return [F.batch_norm(x, *(table[row] for table in tables), eps=eps) for x, row in zip(xs, rows)]

    def separable(self, xs, name, stride=1, rate=1, after=False, eps=1e-3):
        for part, settings in (("depthwise", (stride, rate)), ("pointwise", ())):
            xs = self.norm(self.conv(xs, f"{name}.{part}", *settings), f"{name}.{part}_norm", eps)
            xs = [F.relu(x) for x in xs] if after else xs
        return xs

    def shuffled(self, xs):
        kept = int(0.7 * xs[0].shape[1] + 0.5)
        return list(channel_shuffle(torch.cat(xs), everyone_else(2), kept).chunk(2))

    def block(self, xs, name, stride=1, rate=1, last_of_all=False, fused=False):
        def relu(xs):
            return [F.relu(x) for x in xs]

        entered = relu(
            self.separable(relu(xs) if not last_of_all else xs, f"{name}.separable1", 1, rate, last_of_all)
        )
        if fused:
            entered = self.shuffled(entered)
        second = self.separable(entered, f"{name}.separable2", 1, rate, last_of_all)
        ys = relu(second)
        if fused:
            shifted = [pixel_shift(x, paper_groups(x.shape[1])) for x in entered]
            ys = self.shuffled([ys[0] + shifted[1], ys[1] + shifted[0]])
        ys = self.separable(ys, f"{name}.separable3", stride, rate, last_of_all)
        if last_of_all:
            return ys, second
        if f"{name}.shortcut.weight" in self.weights:
            xs = self.norm(self.conv(xs, f"{name}.shortcut", stride), f"{name}.shortcut_norm")
        return [x + y for x, y in zip(xs, ys)], second

    def encode(self, xs):
        for name, stride in (("stem1", 2), ("stem2", 1)):
            xs = self.norm(self.conv(xs, f"encoder.{name}", stride), f"encoder.{name}_norm")
            xs = [F.relu(x) for x in xs]
        fused = self.modalities == 2
        xs, _ = self.block(xs, "encoder.entry.0", stride=2)
        xs, low = self.block(xs, "encoder.entry.1", stride=2)
        xs, _ = self.block(xs, "encoder.entry.2", stride=2, fused=fused)
        for i in range(16):
            xs, _ = self.block(xs, f"encoder.middle.{i}", fused=fused and i == 15)
        xs, _ = self.block(xs, "encoder.exit.0")
        xs, _ = self.block(xs, "encoder.exit.1", rate=2, last_of_all=True, fused=fused)
        return low, xs

    def pointwise(self, xs, name):
        xs = self.norm(self.conv(xs, f"decoder.{name}.conv"), f"decoder.{name}.norm", eps=1e-5)
        return [F.relu(x) for x in xs]

    def decode(self, low, high):
        size = high[0].shape[-2:]
        pooled = self.pointwise([x.mean((2, 3), keepdim=True) for x in high], "pooling")
        branches = [
            [F.interpolate(x, size, mode="nearest") for x in pooled],
            self.pointwise(high, "pointwise"),
        ]
        for i, rate in enumerate((6, 12, 18)):
            branches.append(self.separable(high, f"decoder.atrous.{i}", rate=rate, after=True, eps=1e-5))
        xs = self.pointwise([torch.cat(parts, 1) for parts in zip(*branches)], "project")
        size = low[0].shape[-2:]
        xs = [F.interpolate(x, size, mode="bilinear", align_corners=True) for x in xs]
        xs = [torch.cat(parts, 1) for parts in zip(xs, self.pointwise(low, "low_level"))]
        for name in ("refine1", "refine2"):
            xs = self.separable(xs, f"decoder.{name}", after=True, eps=1e-5)
        return self.conv(xs, "decoder.classifier")


@pytest.mark.parametrize("modalities", [1, 2])
def test_every_layer_is_the_references(modalities):
    """And fusion sits where the module says. 50 x 70 pixels: 25 x 35, 13 x 18, 7 x 9 and 4 x 5 features."""
    torch.manual_seed(0)
    network = with_random_norms(build_network(config(modalities)))
    images = [torch.randn(1, 3, 50, 70) for _ in range(modalities)]
    with torch.inference_mode():
        plain = Plain(network)
        low, high = plain.encode(images)
        assert low[0].shape == (1, 256, 13, 18) and high[0].shape == (1, 2048, 4, 5)
        expected, found = plain.decode(low, high), network(images).logits
    for branch, other in zip(found, expected):
        torch.testing.assert_close(branch, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


def test_output_stride_8_is_the_same_network_read_more_densely():
    """Every second pixel of its features is a pixel of those at 1/16: that is what the dilation is for."""
    torch.manual_seed(1)
    sparse = with_random_norms(build_network(config(1, fusion="none")))
    dense = build_network(config(1, fusion="none", output_stride=8)).eval()
    dense.load_state_dict(sparse.state_dict())
    image = torch.randn(1, 3, 72, 56)
    with torch.inference_mode():
        coarse, fine = (network.encoder(image, (0,)) for network in (sparse, dense))
    torch.testing.assert_close(fine[0], coarse[0])
    assert coarse[1].shape[-2:] == (5, 4) and fine[1].shape[-2:] == (9, 7)
    torch.testing.assert_close(fine[1][..., ::2, ::2], coarse[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("output_stride", [None, 8])
def test_dilation(output_stride):
    with torch.device("meta"):
        network = build_network(config(output_stride=output_stride))
    rates = [
        {layer.dilation[0] for layer in part.modules() if isinstance(layer, nn.Conv2d) and layer.groups > 1}
        for part in (network.encoder.middle, *network.encoder.exit, *network.decoder.atrous)
    ]
    assert rates == ([{2}, {2}, {4}, {12}, {24}, {36}] if output_stride else [{1}, {1}, {2}, {6}, {12}, {18}])
