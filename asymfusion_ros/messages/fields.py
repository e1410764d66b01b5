"""ROS messages as far as this package reads them: rclpy's classes and rosbags' have the same fields."""

from __future__ import annotations

import array
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.camera_info import CameraInfo


class Stamp(Protocol):
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


class Header(Protocol):
    """std_msgs/Header."""

    stamp: Stamp
    frame_id: str


class Message(Protocol):
    """Any message with a header."""

    header: Header


class ImageMessage(Message, Protocol):
    """sensor_msgs/Image."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: array.array[int]


class CompressedImageMessage(Message, Protocol):
    """sensor_msgs/CompressedImage."""

    format: str
    data: array.array[int]


class DisparityMessage(Message, Protocol):
    """stereo_msgs/DisparityImage."""

    image: ImageMessage
    f: float
    t: float
    min_disparity: float


class CameraInfoMessage(Message, CameraInfo, Protocol):
    """sensor_msgs/CameraInfo."""


@dataclass
class PlainImage:
    """An ImageMessage of this package's own."""

    header: Header
    height: int
    width: int
    encoding: str
    step: int
    data: array.array[int]
    is_bigendian: int = 0

    @classmethod
    def of(cls, header: Header, image: npt.NDArray[np.uint8], encoding: str, width: int) -> PlainImage:
        """Over a contiguous array of rows of bytes, each of ``width`` pixels."""
        return cls(header, image.shape[0], width, encoding, image.nbytes // image.shape[0], data_of(image))


def data_of(image: npt.NDArray[np.uint8]) -> array.array[int]:
    """A copy of contiguous bytes for a message's ``data``. rclpy takes an array.array as it is; a list or
    bytes would be checked number by number.
    """
    data = array.array("B")
    data.frombytes(image)  # type: ignore[arg-type]  # its type hides that it is a buffer
    return data
