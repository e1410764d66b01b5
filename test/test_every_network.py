"""Every network that can be built, forward and backward.

The whole product of encoders, decoders, fusions, directions, modalities and sharing has some three thousand
members. What they can break by meeting is this: a fusion the kind of block it stands in (four kinds) and the
decoder that reads its stage; sharing the layers of each encoder and decoder; direction and the number of
modalities the fusion, in any block. So the whole product of the settings runs in one encoder, each fusion in
each kind of block under each decoder, shared and individual, and what is only deeper or wider (ResNet-34, 101
and 152, Lite1 and 2) with one fusion of each kind. Nothing is computed for the largest: shapes and gradients'
paths are the same on the meta device.
"""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.choices import CHOICES, EFFICIENTNETS, PARAMETRIC, RESNETS, XCEPTION
from asymfusion_ros.network.symmetric import SymmetricFusion

NAMES = ("rgb", "depth", "thermal")
CLASSES = 5
SIZE = (33, 47)  # neither is a multiple of 32, nor even

REFINENETS = ("refinenet", "refinenet_lw")
SMALLEST = ("resnet18", "resnet50", "efficientnet_lite0", XCEPTION)  # a kind of block each
PAIRS = [
    *itertools.product(REFINENETS, (*RESNETS, *EFFICIENTNETS)),
    *itertools.product(["deeplabv3plus"], (*RESNETS, XCEPTION)),
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
    (2, "rgb_to_depth"),
    (3, "bidirectional"),
    (3, "thermal_to_rgb"),
]


def config(architecture, encoder, modalities=2, **settings):
    settings = {"classes": CLASSES, "decoder_channels": 8, **settings}
    return NetworkConfig(architecture, encoder, modalities=NAMES[:modalities], **settings)


def runs(made, device):
    """Builds the network; its branches' loss reaches every parameter but alpha, which only the ensemble has."""
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


@pytest.mark.parametrize("fusion", CHOICES["fusion"])
@pytest.mark.parametrize(("modalities", "direction"), MODALITIES)
def test_every_setting(fusion, modalities, direction):
    for sharing in SHARING:
        settings = {"fusion": fusion, "direction": direction, **sharing}
        if fusion in PARAMETRIC and modalities == 1:
            with pytest.raises(ConfigError, match="two or more modalities, and rgb is the only one"):
                config("refinenet_lw", "resnet18", 1, **settings)
        else:
            # MMF's parameters are too many to compute with here
            runs(
                config("refinenet_lw", "resnet18", modalities, **settings),
                "meta" if fusion == "mmf" else "cpu",
            )


@pytest.mark.parametrize("fusion", CHOICES["fusion"])
@pytest.mark.parametrize(("architecture", "encoder"), [pair for pair in PAIRS if pair[1] in SMALLEST])
def test_every_fusion_in_every_kind_of_block(architecture, encoder, fusion):
    shared = config(architecture, encoder, fusion=fusion)
    individual = config(architecture, encoder, fusion=fusion, shared_convs=False, direction="depth_to_rgb")
    for made in (shared, individual):
        runs(made, "meta" if fusion in PARAMETRIC else "cpu")


@pytest.mark.parametrize("fusion", ["asymmetric", "attention"])
@pytest.mark.parametrize(("architecture", "encoder"), [pair for pair in PAIRS if pair[1] not in SMALLEST])
def test_every_encoder_and_decoder(architecture, encoder, fusion):
    runs(config(architecture, encoder, fusion=fusion), "meta")


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize(
    ("fusion", "direction"),
    [
        *((name, "bidirectional") for name in CHOICES["fusion"]),
        *((name, "depth_to_rgb") for name in PARAMETRIC),
    ],
)
def test_every_parameter_learns(fusion, direction, sharing):
    """No gradient is zero but for alpha's, once the baselines have left their start."""
    torch.manual_seed(1)
    network = build_network(config("refinenet_lw", "resnet18", fusion=fusion, direction=direction, **sharing))
    for module in network.modules():
        if isinstance(module, SymmetricFusion):
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
    every = itertools.product(CHOICES["architecture"], CHOICES["encoder"])
    for architecture, encoder in set(every) - set(PAIRS):
        with pytest.raises(ConfigError, match=f"encoder: {encoder} (strides down|goes with deeplabv3plus)"):
            NetworkConfig(architecture, encoder)
