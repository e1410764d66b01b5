"""The outputs as messages of a bag: those that the node publishes."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from asymfusion_ros.data.labels import UNLABELED, VOID
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.messages.fields import Header

# ROS' own, which rosbags does not bring.
VISION_CLASS = "uint16 class_id\nstring class_name\n"
LABEL_INFO = "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold\n"
IMAGE, INFO = "sensor_msgs/msg/Image", "vision_msgs/msg/LabelInfo"


@cache
def store() -> Typestore:
    """The message types that are written."""
    found = get_typestore(Stores.ROS2_HUMBLE)
    found.register(get_types_from_msg(VISION_CLASS, "vision_msgs/msg/VisionClass"))
    found.register(get_types_from_msg(LABEL_INFO, INFO))
    return found


def header(source: Header) -> Any:
    """std_msgs/Header with the stamp and frame of another, whichever ROS that is of."""
    types = store().types
    stamp = types["builtin_interfaces/msg/Time"](sec=int(source.stamp.sec), nanosec=int(source.stamp.nanosec))
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id=source.frame_id)


def image(source: Header, pixels: npt.NDArray[np.uint8], encoding: str) -> Any:
    """sensor_msgs/Image of an H x W or H x W x C array, with rows unpadded."""
    pixels = np.ascontiguousarray(pixels)
    height, width = pixels.shape[:2]
    return store().types[IMAGE](
        header=header(source),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // height,
        data=pixels.reshape(-1),
    )


def label_info(source: Header, names: tuple[str, ...]) -> Any:
    """vision_msgs/LabelInfo: label i is names[i], 255 is unlabeled."""
    kind = store().types["vision_msgs/msg/VisionClass"]
    classes = [kind(class_id=i, class_name=name) for i, name in [*enumerate(names), (VOID, UNLABELED)]]
    return store().types[INFO](header=header(source), class_map=classes, threshold=0.0)


def raw_image(source: Header, image: RawImage) -> Any:
    """sensor_msgs/Image with the image's bytes, unchanged."""
    return store().types[IMAGE](
        header=header(source),
        height=image.height,
        width=image.width,
        encoding=image.encoding,
        is_bigendian=int(image.bigendian),
        step=image.step,
        data=image.data,
    )


def camera_info(message: Any, at: Header) -> Any:
    """sensor_msgs/CameraInfo as ``message`` has it, which may lack a type, with the stamp of ``at``."""
    kind: Any = store().types["sensor_msgs/msg/CameraInfo"]
    region: Any = store().types["sensor_msgs/msg/RegionOfInterest"]
    roi = message.roi
    whole = bool(getattr(roi, "do_rectify", False))
    values = {field.name: getattr(message, field.name) for field in _fields(kind)}
    frame_id = message.header.frame_id or at.frame_id
    values["header"] = store().types["std_msgs/msg/Header"](stamp=header(at).stamp, frame_id=frame_id)
    values["roi"] = region(int(roi.x_offset), int(roi.y_offset), int(roi.height), int(roi.width), whole)
    for name in "kdrp":
        values[name] = np.asarray(values[name], np.float64)
    return kind(**values)


def as_ros2(message: Any) -> Any:
    """A message of a ROS 1 or ROS 2 bag as ROS 2 has it."""
    if message.__msgtype__ == "std_msgs/msg/Header":  # ROS 1's has a number besides
        return header(message)
    kind: Any = store().types[message.__msgtype__]
    values = {}
    for field in _fields(kind):
        # ROS 1 spells some names in capitals.
        name = field.name if hasattr(message, field.name) else field.name.upper()
        values[field.name] = _ros2(getattr(message, name))
    return kind(**values)


def _ros2(value: Any) -> Any:
    if isinstance(value, list):
        return [_ros2(one) for one in value]
    return as_ros2(value) if hasattr(value, "__msgtype__") else value


def _fields(kind: Any) -> list[Any]:
    return [field for field in fields(kind) if field.name != "__msgtype__"]
