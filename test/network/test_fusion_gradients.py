"""The fusion's own gradients against autograd's, and the memory layout that they have."""

import pytest
import torch

from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.fusion.asymmetric import channel_shuffle, pixel_shift
from asymfusion_ros.network.fusion.registry import make_fusion
from asymfusion_ros.network.fusion.routing import received, senders_along

RGB, DEPTH, THERMAL = "rgb", "depth", "thermal"
SETTINGS = [
    {},
    {"fusion": "shuffle"},
    {"fusion": "shift"},
    {"fusion": "skip"},
    {"variant": "released"},
    {"modalities": (RGB, DEPTH, THERMAL)},
    {"direction": "rgb_to_depth"},
]


def plain(fusion, x, spatial, available):
    """What AsymmetricFusion computes, by operations with autograd's own gradients."""
    senders = senders_along(fusion.route, available)

    def shuffled(x):
        return channel_shuffle(x, senders, fusion.kept_of(x.shape[1])) if fusion.shuffles else x

    x = shuffled(x)
    after = spatial(x)
    if fusion.adds:
        shifted = pixel_shift(x, fusion.bounds, fusion.offsets)
        after = after + received(shifted, senders, otherwise_zero=True)
    return shuffled(after)


def spatial(x):
    """Linear in each pixel, so that gradients differ from place to place."""
    return x * torch.linspace(0.5, 1.5, x[0].numel(), dtype=x.dtype).view(x.shape[1:])


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_gradients_are_those_of_autograd(settings):
    fusion = make_fusion(NetworkConfig(**settings).fusion_config, 11, stage=1)
    count = len(settings.get("modalities", (RGB, DEPTH)))
    torch.manual_seed(0)
    x = torch.randn(2 * count, 11, 5, 6, dtype=torch.float64)
    weighs = torch.randn_like(x)
    available = tuple(range(count))
    found = []
    for fuse in (fusion, lambda *arguments: plain(fusion, *arguments)):
        leaf = x.clone().requires_grad_()
        out = fuse(leaf, spatial, available)
        (out * weighs).sum().backward()
        found.append((out.detach(), leaf.grad))
    (out, gradient), (expected, expected_gradient) = found
    assert torch.equal(out, expected)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-14, atol=1e-14)


def test_gradients_of_gradients():
    fusion = make_fusion(NetworkConfig().fusion_config, 5, stage=1)
    x = torch.randn(4, 5, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: fusion(x, spatial, (0, 1)).square(), x)


@pytest.mark.parametrize("settings", [one for one in SETTINGS if "modalities" not in one], ids=str)
def test_gradients_keep_the_features_memory_layout(settings):
    fusion = make_fusion(NetworkConfig(**settings).fusion_config, 12, stage=1)
    x = torch.randn(4, 12, 6, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    layouts = []

    def watched(x):
        x.register_hook(lambda gradient: layouts.append(gradient.stride()))
        return x * 1.0

    fusion(x * 1.0, watched, (0, 1)).square().sum().backward()
    assert layouts == [x.stride()]
