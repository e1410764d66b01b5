"""In which blocks of an encoder fusion sits, and that it works there."""

import pytest
import torch

from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.fusion.base import Fusion


def architecture(encoder):
    return "deeplabv3plus" if encoder == "xception65" else "refinenet_lw"


def fused_blocks(encoder, **settings):
    """Names within the encoder of the blocks that fuse."""
    with torch.device("meta"):
        network = build_network(NetworkConfig(architecture(encoder), encoder, **settings))
    return [
        name.removesuffix(".fusion")
        for name, module in network.encoder.named_modules()
        if isinstance(module, Fusion)
    ]


@pytest.mark.parametrize("fusion", ["asymmetric", "concat"])
@pytest.mark.parametrize(
    ("encoder", "last"),
    [
        ("resnet18", ["layer1.1", "layer2.1", "layer3.1", "layer4.1"]),
        ("resnet101", ["layer1.2", "layer2.3", "layer3.22", "layer4.2"]),
        # 1, 2, 2, 3, 3, 4 and 1 blocks: the last ones at 1/4, 1/8, 1/16 and 1/32
        ("efficientnet_lite0", ["blocks.2", "blocks.4", "blocks.10", "blocks.15"]),
        ("xception65", ["entry.2", "middle.15", "exit.1"]),
    ],
)
def test_the_last_block_of_every_stage_or_of_some(encoder, last, fusion):
    assert fused_blocks(encoder, fusion=fusion) == last
    stages = (len(last), 1)
    assert fused_blocks(encoder, fusion=fusion, fusion_stages=stages) == [last[0], last[-1]]


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
        # exit.0 has 728 channels at one place and 1024 at the other.
        ("xception65", [*(f"entry.{i}" for i in range(3)), *(f"middle.{i}" for i in range(16)), "exit.1"]),
    ],
)
def test_all_blocks_that_fit(encoder, blocks):
    assert fused_blocks(encoder, fusion_blocks="all") == blocks


def test_all_blocks_of_one_stage():
    names = fused_blocks("efficientnet_lite0", fusion_blocks="all", fusion_stages=(3,))
    assert names == [f"blocks.{i}" for i in (6, 7, 8, 9, 10)]


def test_a_dilated_bottleneck_fits():
    """With output stride 8 stages 3 and 4 have no stride, so that their first blocks can fuse as well."""
    with torch.device("meta"):
        config = NetworkConfig("deeplabv3plus", "resnet50", fusion_blocks="all", output_stride=8)
        encoder = build_network(config).encoder
    firsts = [layer[0] for layer in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4)]
    assert [block.fusion is not None for block in firsts] == [True, False, True, True]


def test_without_fusion_there_is_none():
    assert fused_blocks("resnet18", fusion="none", fusion_stages=(1,)) == []


@pytest.mark.parametrize("fusion", ["asymmetric", "mmf"])
@pytest.mark.parametrize("encoder", ["resnet18", "resnet50", "efficientnet_lite0", "xception65"])
def test_fusion_in_all_blocks_runs(encoder, fusion):
    """Odd sizes throughout: 75 x 45 becomes 38 x 23, 19 x 12, 10 x 6, 5 x 3 and 3 x 2."""
    with torch.device("meta"):
        config = NetworkConfig(architecture(encoder), encoder, 5, fusion=fusion, fusion_blocks="all")
        out = build_network(config)([torch.empty(2, 3, 75, 45) for _ in range(2)])
    assert tuple(out.ensemble.shape) == (2, 5, 19, 12)
