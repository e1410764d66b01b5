"""Malformed sensor_msgs/Image."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from node_harness import HEIGHT, WIDTH, image
from sensor_msgs.msg import Image

from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.messages.conversion import CONVERTED_ENCODINGS

from .message import HARMLESS, REFUSED, Malformed

BYTES = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1, "mono16": 2, "16UC1": 2, "32FC1": 4}


def raw() -> Iterator[Malformed]:
    """sensor_msgs/Image."""
    for modality in ("rgb", "depth"):
        encodings = {name: BYTES[name] for name in KNOWN[modality].encodings if name in BYTES}
        if modality == "rgb":
            encodings |= CONVERTED_ENCODINGS
        for encoding, size in encodings.items():
            yield Malformed(
                f"{modality} {encoding}: a row is missing", modality, partial(_cut, encoding, size)
            )
        name = next(iter(encodings))
        size = encodings[name]
        for what, change in CHANGES.items():
            says = HARMLESS if what in UNUSUAL else REFUSED
            yield Malformed(f"{modality}: {what}", modality, partial(_changed, name, size, change), says)
    yield Malformed("depth on the rgb topic", "rgb", partial(_changed, "16UC1", 2, {}))
    yield Malformed("rgb on the depth topic", "depth", partial(_changed, "rgb8", 3, {}))
    for what, value in {"zero": 0.0, "NaN": np.nan, "infinite": np.inf, "negative": -1.0}.items():
        yield Malformed(f"depth that is {what} everywhere", "depth", partial(_constant, value), HARMLESS)


CHANGES: dict[str, dict[str, Any]] = {
    "no bytes": {"data": b""},
    "height 0": {"height": 0},
    "width 0": {"width": 0},
    "4294967295 x 4294967295": {"height": 2**32 - 1, "width": 2**32 - 1},
    "step 0": {"step": 0},
    "step shorter than a row": {"step": 3},
    "step 4294967295": {"step": 2**32 - 1},
    "no encoding": {"encoding": ""},
    "an unknown encoding": {"encoding": "holographic"},
    "an encoding of a megabyte": {"encoding": "x" * (1 << 20)},
    "stamp 0": {"stamp": (0, 0)},
    "a negative stamp": {"stamp": (-5, 0)},
    "the latest stamp there is": {"stamp": (2**31 - 1, 999_999_999)},
    "a frame of a megabyte": {"frame_id": "f" * (1 << 20)},
}
UNUSUAL = ("the latest stamp there is", "a frame of a megabyte")  # but allowed


def _cut(encoding: str, size: int, stamp: int) -> Image:
    message = _changed(encoding, size, {}, stamp)
    message.data = message.data[: -WIDTH * size]
    return message


def _changed(encoding: str, size: int, change: dict[str, Any], stamp: int) -> Image:
    message = image(np.full((HEIGHT, WIDTH * size), 7, np.uint8), encoding, stamp)
    message.width = WIDTH
    change_fields(message, message.header, change)
    return message


def change_fields(message: Image, header: Any, change: dict[str, Any]) -> None:
    """Makes one of CHANGES."""
    for name, value in change.items():
        if name == "stamp":
            header.stamp.sec, header.stamp.nanosec = value
        elif name == "frame_id":
            header.frame_id = value
        else:
            setattr(message, name, value)


def _constant(value: float, stamp: int) -> Image:
    return image(np.full((HEIGHT, WIDTH), value, np.float32), "32FC1", stamp)
