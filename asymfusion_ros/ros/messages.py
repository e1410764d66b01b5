"""ROS messages as far as this package reads them. Their own classes carry no types that a checker can see."""

from __future__ import annotations

import array
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image

from asymfusion_ros.data.camera_info import CameraInfo
from asymfusion_ros.engine.raw_image import RawImage


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


MessageType: TypeAlias = type[Any]  # a generated message class, as rclpy takes it


def image_message(header: Header, image: npt.NDArray[np.uint8], encoding: str) -> ImageMessage:
    """A message over an H x W or H x W x C uint8 array, with rows unpadded (step is width x C)."""
    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    message: ImageMessage = Image(header=header, height=height, width=width, encoding=encoding)
    message.step = image.nbytes // height
    message.data = message_data(image)
    return message


def raw_image_message(header: Header, image: RawImage) -> ImageMessage:
    """A message with the image's bytes, unchanged."""
    message: ImageMessage = Image(header=header, height=image.height, width=image.width, step=image.step)
    message.encoding, message.is_bigendian = image.encoding, int(image.bigendian)
    message.data = message_data(image.data)
    return message


def message_data(image: npt.NDArray[np.uint8]) -> array.array[int]:
    """A copy of contiguous bytes for a message's ``data``. rclpy takes an array.array as it is; a list or
    bytes would be checked number by number.
    """
    data = array.array("B")
    data.frombytes(image)  # type: ignore[arg-type]  # its type hides that it is a buffer
    return data
