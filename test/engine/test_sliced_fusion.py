"""The engine's fusion by slices gives what the network's does, bit for bit."""

import pytest
import torch

from asymfusion_ros.engine.sliced_fusion import SlicedFusion
from asymfusion_ros.network.fusion.asymmetric import AsymmetricFusion
from asymfusion_ros.network.fusion.config import FusionConfig

PARTS = [{}, {"shuffles": False}, {"adds": False}, {"shifts": False}]
KINDS = [(variant, parts) for variant in ("paper", "released") for parts in PARTS]


def fusion(variant, modalities=2, route=None, channels=11, **parts):
    config = FusionConfig("asymmetric", modalities, route, 0.7, variant, 0.0, None, "last", (), 4)
    return AsymmetricFusion(config, channels, **parts)


@torch.inference_mode()
def compared(original, available, size=(5, 7), channels=11, spatial=None, overwrites=True):
    """Asserts that the sliced fusion gives the same numbers, bit for bit."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2 * len(available), channels, *size, generator=generator)
    x = x.to(memory_format=torch.channels_last)
    given = x.clone()
    spatial = spatial or (lambda x: 2 * x)
    expected = original(x.clone(), spatial, available)
    found = SlicedFusion(original, overwrites)(given, spatial, available)
    assert torch.equal(found, expected)
    assert overwrites or torch.equal(given, x)


@pytest.mark.parametrize(("variant", "parts"), KINDS)
@pytest.mark.parametrize("size", [(5, 7), (1, 1), (1, 6)])
def test_a_sliced_fusion_is_the_fusion(variant, parts, size):
    compared(fusion(variant, **parts), (0, 1), size)
    compared(fusion(variant, **parts), (1,), size)
    compared(fusion(variant, **parts), (0, 1), size, overwrites=False)


@pytest.mark.parametrize("parts", PARTS)
def test_of_three_modalities_and_one_way(parts):
    compared(fusion("paper", 3, **parts), (0, 1, 2))
    compared(fusion("paper", 3, **parts), (0, 2))
    compared(fusion("paper", 3, (2, 0), **parts), (0, 1, 2))
    compared(fusion("paper", 2, (0, 1), **parts), (0, 1))


def test_where_the_convolution_changes_the_shape():
    weight = torch.randn(8, 11, 4, 4, generator=torch.Generator().manual_seed(1))
    compared(
        fusion("paper", channels=8),
        (0, 1),
        size=(8, 8),
        spatial=lambda x: torch.nn.functional.conv2d(x, weight, stride=2, padding=1),
    )
