"""ROS messages as this package makes them. Their own classes carry no types that a checker can see."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image

from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.messages.fields import Header, ImageMessage, data_of

MessageType: TypeAlias = type[Any]  # a generated message class, as rclpy takes it


def image_message(header: Header, image: npt.NDArray[np.uint8], encoding: str) -> ImageMessage:
    """A message over an H x W or H x W x C uint8 array, with rows unpadded (step is width x C)."""
    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    message: ImageMessage = Image(header=header, height=height, width=width, encoding=encoding)
    message.step = image.nbytes // height
    message.data = data_of(image)
    return message


def raw_image_message(header: Header, image: RawImage) -> ImageMessage:
    """A message with the image's bytes, unchanged."""
    message: ImageMessage = Image(header=header, height=image.height, width=image.width, step=image.step)
    message.encoding, message.is_bigendian = image.encoding, int(image.bigendian)
    message.data = data_of(image.data)
    return message
