"""From a description to a network."""

from __future__ import annotations

from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.segmentation import SegmentationNetwork
from asymfusion_ros.network.translation import TranslationNetwork


def build_network(config: NetworkConfig) -> SegmentationNetwork:
    """The network that ``config`` describes, with random weights; a TranslationNetwork where it makes
    images."""
    return TranslationNetwork(config) if config.makes_images else SegmentationNetwork(config)
