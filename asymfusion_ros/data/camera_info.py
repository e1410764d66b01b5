"""A camera's calibration as ROS sends it; no torch, for programs that only send images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Region(Protocol):
    """sensor_msgs/RegionOfInterest."""

    x_offset: int
    y_offset: int
    height: int
    width: int


class CameraInfo(Protocol):
    """sensor_msgs/CameraInfo, as far as a CameraModel is made from it."""

    height: int
    width: int
    distortion_model: str
    d: Sequence[float]
    k: Sequence[float]
    p: Sequence[float]
    binning_x: int
    binning_y: int
    roi: Region
