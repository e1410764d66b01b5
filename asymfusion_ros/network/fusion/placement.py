"""Which blocks of an encoder exchange features, and what the decoder makes of a stage.

Stages count from 1. Those of a ResNet and of an EfficientNet-Lite are the four resolutions that RefineNet
reads, 1/4 to 1/32 (under DeepLabv3+ a ResNet's last ones are dilated instead of coarser). Those of Xception65
are its entry, middle and exit flow.
"""

from __future__ import annotations

from asymfusion_ros.network.choices import DEEPLAB, XCEPTION, stage_count
from asymfusion_ros.network.config import NetworkConfig


def fuses(config: NetworkConfig, stage: int, last: bool, fits: bool) -> bool:
    """Whether a block fuses: the last one of its stage, or with ``fusion_blocks="all"`` every one that fits.

    fits: the features have the same shape at both places, where the exchange begins and where what was
    exchanged is added. They have not where a stride or another width lies in between: in a bottleneck or an
    inverted residual with a stride, and in the first block of Xception65's exit flow. (The stride of a block
    of two 3 x 3 convolutions comes before both places, that of an Xception block after both.)
    """
    if config.fusion == "none":
        return False
    if config.fusion_stages is not None and stage not in config.fusion_stages:
        return False
    return last or (config.fusion_blocks == "all" and fits)


def is_coarsest(config: NetworkConfig, stage: int) -> bool:
    return stage == stage_count(config.encoder)


def is_skip(config: NetworkConfig, stage: int) -> bool:
    """Whether the decoder reads the stage's output as a skip: RefineNet every one but the coarsest,
    DeepLabv3+ a ResNet's first. (From Xception65 it reads features of a block before the entry flow's last.)
    """
    if config.architecture == DEEPLAB:
        return stage == 1 and config.encoder != XCEPTION
    return not is_coarsest(config, stage)
