"""In which blocks of an encoder fusion sits, and that it works there."""

import pytest
import torch

from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.fusion import Fusion
from asymfusion_ros.network.symmetric import SymmetricFusion


def fused_blocks(encoder, **settings):
    """Names within the encoder of the blocks that fuse."""
    with torch.device("meta"):
        network = build_network(NetworkConfig("refinenet_lw", encoder, **settings))
    return [
        name.removesuffix(".fusion")
        for name, module in network.encoder.named_modules()
        if isinstance(module, Fusion | SymmetricFusion)
    ]


@pytest.mark.parametrize("fusion", ["asymmetric", "concat"])
@pytest.mark.parametrize(
    ("encoder", "last"),
    [
        ("resnet18", ["layer1.1", "layer2.1", "layer3.1", "layer4.1"]),
        ("resnet101", ["layer1.2", "layer2.3", "layer3.22", "layer4.2"]),
        # 1, 2, 2, 3, 3, 4 and 1 blocks: the last ones at 1/4, 1/8, 1/16 and 1/32
        ("efficientnet_lite0", ["blocks.2", "blocks.4", "blocks.10", "blocks.15"]),
    ],
)
def test_the_last_block_of_every_stage_or_of_some(encoder, last, fusion):
    assert fused_blocks(encoder, fusion=fusion) == last
    assert fused_blocks(encoder, fusion=fusion, fusion_stages=(4, 1)) == [last[0], last[3]]


@pytest.mark.parametrize(
    ("encoder", "blocks"),
    [
        # The stride of a block of two 3 x 3 comes before both places, that of a bottleneck between them.
        ("resnet18", [f"layer{stage}.{i}" for stage in (1, 2, 3, 4) for i in (0, 1)]),
        (
            "resnet50",
            [
                f"layer{stage}.{i}"
                for stage, count in ((1, 3), (2, 4), (3, 6), (4, 3))
                for i in range(count)
                if stage == 1 or i > 0
            ],
        ),
        # Block 0 is at 1/2, which the decoder does not read; 1, 3, 5 and 11 have a stride.
        ("efficientnet_lite0", [f"blocks.{i}" for i in range(1, 16) if i not in (1, 3, 5, 11)]),
    ],
)
def test_all_blocks_that_fit(encoder, blocks):
    assert fused_blocks(encoder, fusion_blocks="all") == blocks


def test_all_blocks_of_one_stage():
    names = fused_blocks("efficientnet_lite0", fusion_blocks="all", fusion_stages=(3,))
    assert names == [f"blocks.{i}" for i in (6, 7, 8, 9, 10)]


def test_without_fusion_there_is_none():
    assert fused_blocks("resnet18", fusion="none", fusion_stages=(1,)) == []


@pytest.mark.parametrize("fusion", ["asymmetric", "mmf"])
@pytest.mark.parametrize("encoder", ["resnet18", "resnet50", "efficientnet_lite0"])
def test_fusion_in_all_blocks_runs(encoder, fusion):
    """Odd sizes throughout: 75 x 45 becomes 38 x 23, 19 x 12, 10 x 6, 5 x 3 and 3 x 2."""
    with torch.device("meta"):
        config = NetworkConfig("refinenet_lw", encoder, 5, fusion=fusion, fusion_blocks="all")
        out = build_network(config)([torch.empty(2, 3, 75, 45) for _ in range(2)])
    assert tuple(out.ensemble.shape) == (2, 5, 19, 12)
