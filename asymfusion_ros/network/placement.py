"""Which blocks of an encoder exchange features, and what the decoder makes of a stage.

Stages count from 1. Those of a ResNet and of an EfficientNet-Lite are the four resolutions that RefineNet
reads, 1/4 to 1/32 (a dilated ResNet's keep their numbers); Xception65 has its entry, middle and exit flow.
"""

from __future__ import annotations

from asymfusion_ros.network.choices import stage_count
from asymfusion_ros.network.config import NetworkConfig


def fuses(config: NetworkConfig, stage: int, last: bool, fits: bool) -> bool:
    """Whether a block fuses: the last one of its stage, or with ``fusion_blocks="all"`` every one that fits.

    fits: the features have the same shape at both places, where the exchange begins and where what was
    exchanged is added. They have not where a stride or another width lies in between: in a ResNet's first
    bottleneck of stages 2 to 4, an inverted residual with a stride, and the first block of Xception65's exit
    flow. (The stride of a block of two 3 x 3 convolutions comes before both places, that of an Xception
    block after both.)
    """
    if config.fusion == "none":
        return False
    if config.fusion_stages is not None and stage not in config.fusion_stages:
        return False
    return last or (config.fusion_blocks == "all" and fits)


def is_coarsest(config: NetworkConfig, stage: int) -> bool:
    return stage == stage_count(config.encoder)


def is_skip(config: NetworkConfig, stage: int) -> bool:
    """Whether the decoder reads the stage's output as a skip: for RefineNet every one but the coarsest."""
    return not is_coarsest(config, stage)
