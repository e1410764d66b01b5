"""The paper's networks as pure torch modules: no files, no ROS."""

from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.segmentation import NetworkOutput, SegmentationNetwork, build_network

__all__ = ["NetworkConfig", "NetworkOutput", "SegmentationNetwork", "build_network"]
