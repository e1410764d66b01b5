"""Every network that can be built, forward and backward.

The whole product of encoders, decoders, fusions, directions, modalities and sharing has some three thousand
members. What can break where they meet: a fusion in a kind of block (there are four), under a decoder that
reads its stage as a skip or not (RefineNet's two are alike in that); sharing in each encoder and decoder;
direction, sharing and the number of modalities in any fusion, whatever block it is in. So the whole product
of the settings runs in one encoder; every kind of fusion in every kind of block (shuffle, shift and skip are
parts of asymmetric), with shared and with individual layers; and every encoder under every decoder with the
default fusion. Nothing is computed for what is large: shapes and the gradients' paths are the same on the
meta device.
"""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.decoders.registry import DECODERS
from asymfusion_ros.network.encoders.registry import ENCODERS
from asymfusion_ros.network.fusion.base import Fusion
from asymfusion_ros.network.fusion.registry import FUSIONS

NAMES = ("rgb", "depth", "thermal")
CLASSES = 5
SIZE = (33, 47)  # neither is a multiple of 32, nor even

FUSION_NAMES = tuple(FUSIONS)
PARAMETRIC = tuple(name for name, entry in FUSIONS.items() if entry.parametric)
REFINENETS = ("refinenet", "refinenet_lw")
RESNETS = tuple(f"resnet{layers}" for layers in (18, 34, 50, 101, 152))
EFFICIENTNETS = tuple(f"efficientnet_lite{scale}" for scale in (0, 1, 2))
XCEPTION = "xception65"
PAIRS = [
    *itertools.product(REFINENETS, (*RESNETS, *EFFICIENTNETS)),
    *itertools.product(["deeplabv3plus"], (*RESNETS, XCEPTION)),
]
UNETS = [("unet", name) for name in ("unet", "unet16", "unet8")]  # make images: test_translation_network.py
KINDS = [  # of blocks, under each kind of decoder; ResNet-18's under RefineNet has the whole product
    ("refinenet_lw", "resnet50"),
    ("refinenet_lw", "efficientnet_lite0"),
    ("deeplabv3plus", "resnet18"),
    ("deeplabv3plus", "resnet50"),
    ("deeplabv3plus", XCEPTION),
]
SHARING = [
    {"shared_convs": True, "private_norms": True},
    {"shared_convs": True, "private_norms": False},
    {"shared_convs": False, "private_norms": True},
]
MODALITIES = [
    (1, "bidirectional"),
    (2, "bidirectional"),
    (2, "depth_to_rgb"),
    (3, "bidirectional"),
    (3, "thermal_to_rgb"),
]


def config(architecture, encoder, modalities=2, **settings):
    settings = {"classes": CLASSES, "decoder_channels": 8, **settings}
    return NetworkConfig(architecture, encoder, modalities=NAMES[:modalities], **settings)


def runs(made, device):
    """Builds the network; its branches' loss reaches every parameter but alpha, which the ensemble has."""
    torch.manual_seed(0)
    with torch.device(device):
        network = build_network(made)
        out = network([torch.randn(2, 3, *SIZE) for _ in made.modalities])
        target = torch.zeros((2, 9, 12), dtype=torch.long)
        assert [tuple(branch.shape) for branch in out.logits] == [(2, CLASSES, 9, 12)] * len(made.modalities)
        sum(F.cross_entropy(branch, target) for branch in out.logits).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == ["ensemble.alpha"], made
    if device == "cpu":
        assert out.ensemble.isfinite().all(), made
        assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None), made


@pytest.mark.parametrize("fusion", FUSION_NAMES)
@pytest.mark.parametrize(("modalities", "direction"), MODALITIES)
def test_every_setting(fusion, modalities, direction):
    for sharing in SHARING:
        settings = {"fusion": fusion, "direction": direction, **sharing}
        if fusion in PARAMETRIC and modalities == 1:
            with pytest.raises(ConfigError, match="two or more modalities, and rgb is the only one"):
                config("refinenet_lw", "resnet18", 1, **settings)
        else:
            made = config("refinenet_lw", "resnet18", modalities, **settings)
            runs(made, "meta" if fusion in ("attention", "mmf") else "cpu")


@pytest.mark.parametrize("fusion", ["asymmetric", "average", *PARAMETRIC])
@pytest.mark.parametrize(("architecture", "encoder"), KINDS)
def test_every_fusion_in_every_kind_of_block(architecture, encoder, fusion):
    runs(config(architecture, encoder, fusion=fusion), "meta" if fusion in PARAMETRIC else "cpu")


@pytest.mark.parametrize("fusion", ["asymmetric", "concat"])
@pytest.mark.parametrize(("architecture", "encoder"), KINDS)
def test_individual_layers_in_every_kind_of_block(architecture, encoder, fusion):
    made = config(architecture, encoder, fusion=fusion, shared_convs=False, direction="depth_to_rgb")
    runs(made, "meta" if fusion in PARAMETRIC else "cpu")


@pytest.mark.parametrize(("architecture", "encoder"), [pair for pair in PAIRS if pair not in KINDS])
def test_every_encoder_under_every_decoder(architecture, encoder):
    runs(config(architecture, encoder), "meta")


@pytest.mark.parametrize(
    ("fusion", "settings"),
    [
        *((name, {}) for name in FUSION_NAMES),
        *((name, {"direction": "depth_to_rgb", "shared_convs": False}) for name in PARAMETRIC),
    ],
)
def test_every_parameter_learns(fusion, settings):
    """No gradient is zero but for alpha's, once the baselines have left their start."""
    torch.manual_seed(1)
    network = build_network(config("refinenet_lw", "resnet18", fusion=fusion, **settings))
    for module in network.modules():
        if isinstance(module, Fusion):
            for parameter in module.parameters():
                nn.init.normal_(parameter, std=0.02)
    out = network([torch.randn(2, 3, 64, 64) for _ in range(2)])
    sum(branch.square().mean() for branch in out.logits).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == ["ensemble.alpha"]


@pytest.mark.parametrize("settings", [{}, {"shared_convs": False}, {"direction": "depth_to_rgb"}])
@pytest.mark.parametrize("fusion", ["asymmetric", "attention"])
def test_ensemble_of_detached_logits_trains_alpha_alone(fusion, settings):
    network = build_network(config("refinenet_lw", "resnet18", fusion=fusion, **settings))
    out = network([torch.randn(2, 3, *SIZE) for _ in range(2)])
    ensemble, _ = network.ensemble([branch.detach() for branch in out.logits])
    F.cross_entropy(ensemble, torch.randint(CLASSES, (2, 9, 12))).backward()
    assert [name for name, p in network.named_parameters() if p.grad is not None] == ["ensemble.alpha"]


def test_every_other_pair_is_refused():
    every = set(itertools.product(DECODERS, ENCODERS))
    timms = itertools.product(REFINENETS, [name for name in ENCODERS if name.startswith("timm:")])
    for architecture, encoder in every - set(PAIRS) - set(UNETS) - set(timms):
        wanted = f"encoder: {encoder} (strides down|goes with (unet|deeplabv3plus|refinenet))"
        with pytest.raises(ConfigError, match=wanted):
            NetworkConfig(architecture, encoder)
