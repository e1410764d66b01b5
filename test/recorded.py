"""Bags that tests replay: of ROS 1 and ROS 2, with whatever messages a test gives."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from asymfusion_ros.recordings.bag_file import ros1_types

STORE, STORE1 = get_typestore(Stores.ROS2_HUMBLE), ros1_types()
SECOND = 10**9
RGB, DEPTH, LABELS = "/camera/color/image_raw", "/camera/depth/image_rect", "/labels"
HEIGHT, WIDTH = 48, 64


def header(stamp: int, frame_id: str = "camera", types: Any = STORE.types) -> Any:
    time = types["builtin_interfaces/msg/Time"](sec=stamp // SECOND, nanosec=stamp % SECOND)
    extra = {"seq": 7} if types is STORE1.types else {}
    return types["std_msgs/msg/Header"](stamp=time, frame_id=frame_id, **extra)


def image(stamp: int, pixels: np.ndarray, encoding: str, frame_id: str = "camera", types=STORE.types) -> Any:
    pixels = np.ascontiguousarray(pixels)
    return types["sensor_msgs/msg/Image"](
        header=header(stamp, frame_id, types),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.strides[0],
        data=pixels.reshape(-1).view(np.uint8),
    )


def compressed(stamp: int, pixels: np.ndarray, form: str) -> Any:
    """A PNG; of depth with compressedDepth's header."""
    head = bytes(12) if "compressedDepth" in form else b""
    data = np.frombuffer(head + cv2.imencode(".png", pixels)[1].tobytes(), np.uint8)
    return STORE.types["sensor_msgs/msg/CompressedImage"](header=header(stamp), format=form, data=data)


def camera_info(frame_id: str, focal: float, height: int = HEIGHT, width: int = WIDTH) -> Any:
    types = STORE.types
    k = [focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1]
    p = [focal, 0, (width - 1) / 2, 0, 0, focal, (height - 1) / 2, 0, 0, 0, 1, 0]
    roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return types["sensor_msgs/msg/CameraInfo"](
        header=header(0, frame_id),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(k, np.float64),
        r=np.eye(3).reshape(-1),
        p=np.array(p, np.float64),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def static_transform(parent: str, child: str, x: float, types: Any = STORE.types) -> Any:
    moved = types["geometry_msgs/msg/Transform"](
        translation=types["geometry_msgs/msg/Vector3"](x, 0.0, 0.0),
        rotation=types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
    )
    one = types["geometry_msgs/msg/TransformStamped"](header(0, parent, types), child, moved)
    return types["tf2_msgs/msg/TFMessage"]([one])


def write_bag(
    path: Path, messages: Iterable[tuple[str, int, Any]], storage: StoragePlugin = StoragePlugin.MCAP
) -> Path:
    """``messages``: (topic, time of arrival in nanoseconds, message)."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections: dict[str, Any] = {}
        for topic, time, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=STORE)
            writer.write(connections[topic], time, STORE.serialize_cdr(message, message.__msgtype__))
    return path


def write_ros1_bag(path: Path, messages: Iterable[tuple[str, int, Any]]) -> Path:
    """The same of messages with ``types=STORE1.types``."""
    with Writer1(path) as writer:
        connections: dict[str, Any] = {}
        for topic, time, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=STORE1)
            writer.write(connections[topic], time, STORE1.serialize_ros1(message, message.__msgtype__))
    return path


def picture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Random blocks of colour."""
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def distances(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Random blocks of distance in millimetres, with a hole."""
    blocks = np.random.default_rng(seed + 100).integers(500, 6000, (height // 8, width // 8), np.uint16)
    depth = blocks.repeat(8, axis=0).repeat(8, axis=1)
    depth[:8, :8] = 0
    return depth


def frames(count: int, period: int = SECOND // 10, apart: int = 0, types: Any = STORE.types) -> list:
    """``count`` frames from 100 s on, the depth's stamps ``apart`` ns later than the colour's."""
    found = []
    for index in range(count):
        stamp = 100 * SECOND + index * period
        found.append((RGB, stamp + 1000, image(stamp, picture(index), "rgb8", types=types)))
        depth = image(stamp + apart, distances(index), "16UC1", types=types)
        found.append((DEPTH, stamp + 2000, depth))
    return found
