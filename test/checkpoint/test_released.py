"""Checkpoints of the authors' code: the same numbers from a plain network with their names.

``Plain`` is written from the description of the released network: one modality after the other in Python
lists, torch's own batch norms, functional calls on a state dict with the authors' names.
"""

import pytest
import torch
from torch.nn import functional as F

from asymfusion_ros.checkpoint import convert_released
from asymfusion_ros.checkpoint.released import released_config
from asymfusion_ros.errors import CheckpointError, ConfigError
from asymfusion_ros.network import NetworkConfig, build_network

BLOCKS = {"resnet50": (3, 4, 6, 3)}
CLASSES = 7


class Plain:
    """The released network as a function of its state dict."""

    def __init__(self, weights, modalities):
        self.weights, self.modalities = weights, modalities

    def conv(self, xs, name, stride=1):
        weight = self.weights[f"{name}.module.weight"]
        bias = self.weights.get(f"{name}.module.bias")
        return [F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2) for x in xs]

    def norm(self, xs, name):
        out = []
        for i, x in enumerate(xs):
            w, b, m, v = (
                self.weights[f"{name}.bn_{i}.{part}"]
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            out.append(F.batch_norm(x, m, v, w, b))
        return out

    def exchange(self, xs):
        kept = xs[0].shape[1] // 5 * 4
        first, second = xs
        return [
            torch.cat([first[:, :kept], second[:, kept:]], 1),
            torch.cat([second[:, :kept], first[:, kept:]], 1),
        ]

    def shifted(self, x):
        group = x.shape[1] // 5
        out = torch.zeros_like(x)
        # zero beyond the border; groups read the pixel above, left, right, below
        out[:, :group, 1:, :] = x[:, :group, :-1, :]
        out[:, group : 2 * group, :, 1:] = x[:, group : 2 * group, :, :-1]
        out[:, 2 * group : 3 * group, :, :-1] = x[:, 2 * group : 3 * group, :, 1:]
        out[:, 3 * group : 4 * group, :-1, :] = x[:, 3 * group : 4 * group, 1:, :]
        return out

    def bottleneck(self, xs, name, stride, last):
        fused = last and self.modalities == 2
        a = [F.relu(x) for x in self.norm(self.conv(xs, f"{name}.conv1"), f"{name}.bn1")]
        if fused:
            a = self.exchange(a)
        b = [F.relu(x) for x in self.norm(self.conv(a, f"{name}.conv2", stride), f"{name}.bn2")]
        if fused:
            b = self.exchange([b[0] + self.shifted(a[1]), b[1] + self.shifted(a[0])])
        c = self.norm(self.conv(b, f"{name}.conv3"), f"{name}.bn3")
        if f"{name}.downsample.0.module.weight" in self.weights:
            xs = self.norm(self.conv(xs, f"{name}.downsample.0", stride), f"{name}.downsample.1")
        return [F.relu(x + y) for x, y in zip(c, xs)]

    def units(self, xs, name, count):
        for k in range(1, count + 1):
            xs = [F.relu(x) for x in xs]
            y = [F.relu(x) for x in self.conv(xs, f"{name}.0.{k}_conv")]
            y = self.conv(y, f"{name}.0.{k}_conv_relu_varout_dimred")
            xs = [a + b for a, b in zip(xs, y)]
        return xs

    def pooling(self, xs, name):
        top = xs
        for k in range(1, 5):
            pooled = [F.max_pool2d(t, 5, 1, 2) for t in top]
            top = self.conv(pooled, f"{name}.0.{k}_outvar_dimred")
            xs = [x + t for x, t in zip(xs, top)]
        return xs

    def __call__(self, xs, blocks):
        xs = [F.relu(x) for x in self.norm(self.stem(xs), "bn1")]
        xs = [F.max_pool2d(x, 3, 2, 1) for x in xs]
        features = []
        for stage, count in enumerate(blocks):
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                xs = self.bottleneck(xs, f"layer{stage + 1}.{i}", stride, i == count - 1)
            features.append(xs)
        coarser = None
        for level in range(1, 5):
            feature = features[4 - level]
            xs = self.units(self.conv(feature, f"p_ims1d2_outl{level}_dimred"), f"adapt_stage{level}_b", 2)
            if coarser is not None:
                size = feature[0].shape[-2:]
                xs = self.conv(xs, f"adapt_stage{level}_b2_joint_varout_dimred")
                up = [F.interpolate(c, size, mode="bilinear", align_corners=True) for c in coarser]
                xs = [x + u for x, u in zip(xs, up)]
            xs = self.pooling([F.relu(x) for x in xs], f"mflow_conv_g{level}_pool")
            xs = self.units(xs, f"mflow_conv_g{level}_b", 3)
            if level < 4:
                coarser = self.conv(xs, f"mflow_conv_g{level}_b3_joint_varout_dimred")
        logits = self.conv(xs, "clf_conv")
        share = self.weights["alpha"].softmax(0)
        return logits, sum(s * x for s, x in zip(share, logits))

    def stem(self, xs):
        return [F.conv2d(x, self.weights["conv1.module.weight"], None, 2, 3) for x in xs]


def released_weights(modalities, blocks, classes=CLASSES):
    """Random weights under the authors' names."""
    generator = torch.Generator().manual_seed(modalities)
    weights = {}

    def random(*shape):
        return torch.randn(shape, generator=generator)

    def conv(name, inputs, outputs, kernel, bias=False):
        weights[f"{name}.module.weight"] = (
            random(outputs, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5
        )
        if bias:
            weights[f"{name}.module.bias"] = random(outputs)

    def norm(name, channels):
        for i in range(modalities):
            weights[f"{name}.bn_{i}.weight"] = 1 + 0.1 * random(channels)
            weights[f"{name}.bn_{i}.bias"] = 0.1 * random(channels)
            weights[f"{name}.bn_{i}.running_mean"] = 0.1 * random(channels)
            weights[f"{name}.bn_{i}.running_var"] = 1 + 0.5 * random(channels).abs()
            weights[f"{name}.bn_{i}.num_batches_tracked"] = torch.tensor(100)

    conv("conv1", 3, 64, 7)
    norm("bn1", 64)
    inputs = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for i in range(count):
            name = f"layer{stage + 1}.{i}"
            conv(f"{name}.conv1", inputs, width, 1)
            conv(f"{name}.conv2", width, width, 3)
            conv(f"{name}.conv3", width, 4 * width, 1)
            for k, channels in enumerate((width, width, 4 * width)):
                norm(f"{name}.bn{k + 1}", channels)
            if i == 0:
                conv(f"{name}.downsample.0", inputs, 4 * width, 1)
                norm(f"{name}.downsample.1", 4 * width)
            inputs = 4 * width
    for level, (inputs, width) in enumerate(((2048, 512), (1024, 256), (512, 256), (256, 256)), start=1):
        conv(f"p_ims1d2_outl{level}_dimred", inputs, width, 3)
        for name, count in ((f"adapt_stage{level}_b", 2), (f"mflow_conv_g{level}_b", 3)):
            for k in range(1, count + 1):
                conv(f"{name}.0.{k}_conv", width, width, 3, bias=True)
                conv(f"{name}.0.{k}_conv_relu_varout_dimred", width, width, 3)
        for k in range(1, 5):
            conv(f"mflow_conv_g{level}_pool.0.{k}_outvar_dimred", width, width, 3)
        if level > 1:
            conv(f"adapt_stage{level}_b2_joint_varout_dimred", width, width, 3)
        if level < 4:
            conv(f"mflow_conv_g{level}_b3_joint_varout_dimred", width, 256, 3)
    conv("clf_conv", 256, classes, 3, bias=True)
    weights["alpha"] = random(modalities)
    return weights


@pytest.fixture(scope="module")
def weights():
    return released_weights(2, BLOCKS["resnet50"])


# DataParallel, which the authors train with, puts "module." before every name.
@pytest.mark.parametrize(("modalities", "prefix"), [(1, ""), (2, "module.")])
def test_both_networks_agree(modalities, prefix):
    plain = released_weights(modalities, BLOCKS["resnet50"])
    saved = {prefix + name: tensor for name, tensor in plain.items()}
    config = released_config(saved)
    assert config == NetworkConfig(
        encoder="resnet50", classes=CLASSES, modalities=("rgb", "depth")[:modalities], variant="released"
    )
    network = build_network(config).eval()
    network.load_state_dict(convert_released(saved, config))
    images = [torch.randn(1, 3, 41, 65) for _ in range(modalities)]
    with torch.inference_mode():
        logits, ensemble = Plain(plain, modalities)(images, BLOCKS["resnet50"])
        out = network(images)
    scale = ensemble.abs().max()
    for ours, theirs in zip((*out.logits, out.ensemble), (*logits, ensemble)):
        assert (ours - theirs).abs().max() < 2e-5 * scale


def test_the_papers_variant_computes_otherwise(weights):
    config = released_config(weights)
    converted = convert_released(weights, config)
    images = [torch.randn(1, 3, 32, 32) for _ in range(2)]
    outputs = []
    for variant in ("released", "paper"):
        network = build_network(NetworkConfig(encoder="resnet50", classes=CLASSES, variant=variant)).eval()
        network.load_state_dict(converted)
        with torch.inference_mode():
            outputs.append(network(images).ensemble)
    assert not torch.allclose(*outputs, rtol=1e-2)


def test_what_does_not_fit_is_named(weights):
    config = released_config(weights)
    with pytest.raises(ConfigError, match="'paper'"):
        convert_released(weights, NetworkConfig(encoder="resnet50", classes=CLASSES))
    less = {name: tensor for name, tensor in weights.items() if name != "layer2.1.bn2.bn_1.bias"}
    with pytest.raises(CheckpointError, match=r"encoder\.layer2\.1\.bn2\.bias"):
        convert_released(less, config)
    with pytest.raises(CheckpointError, match=r"extra\.weight"):
        convert_released({**weights, "extra.weight": torch.zeros(1)}, config)
    with pytest.raises(CheckpointError, match=r"layer3\.6"):
        deeper = {name.replace("layer3.5", "layer3.6"): tensor for name, tensor in weights.items()}
        convert_released(deeper, config)
    with pytest.raises(CheckpointError, match=r"clf_conv.*40 classes"):
        convert_released(weights, NetworkConfig(encoder="resnet50", classes=40, variant="released"))
    with pytest.raises(CheckpointError, match="bn_1"):
        one = NetworkConfig(encoder="resnet50", classes=CLASSES, modalities=("rgb",), variant="released")
        convert_released({**weights, "alpha": torch.zeros(1)}, one)
    with pytest.raises(CheckpointError, match="layer3"):
        released_config({"conv1.weight": torch.zeros(1)})
