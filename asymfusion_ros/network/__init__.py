"""The paper's networks as pure torch modules: no files, no ROS."""

from asymfusion_ros.network.build import build_network
from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.output import NetworkOutput
from asymfusion_ros.network.segmentation import SegmentationNetwork
from asymfusion_ros.network.translation import TranslationNetwork, TranslationOutput

__all__ = [
    "NetworkConfig",
    "NetworkOutput",
    "SegmentationNetwork",
    "TranslationNetwork",
    "TranslationOutput",
    "build_network",
]
