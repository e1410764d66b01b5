"""Frames in, labels out, all on one device; no ROS."""

from asymfusion_ros.engine.frames import Frame
from asymfusion_ros.engine.segmenter import HostResult, Result, Segmenter

__all__ = ["Frame", "HostResult", "Result", "Segmenter"]
