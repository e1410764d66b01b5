"""One moment of the demonstration, put together from the images that arrived over the topics."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.engine.frames import COLOUR_ENCODINGS, DEPTH_ENCODINGS, Frame
from asymfusion_ros.errors import FrameError

PANEL_WIDTH = 640  # pixels; views are kept for the whole run, so larger cameras are reduced at once
KEPT = 48  # images a topic that may wait for the others: 3 s of a 15 Hz stream


@dataclass(frozen=True)
class View:
    """All H x W: rgb and overlay uint8 RGB, depth float32 metres with NaN where
    unknown (or None), mask uint8. ``stamp`` is the RGB image's, in nanoseconds."""

    stamp: int
    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32] | None
    mask: npt.NDArray[np.uint8]
    overlay: npt.NDArray[np.uint8]


def to_rgb(message: Any) -> npt.NDArray[np.uint8]:
    """A colour sensor_msgs/Image as H x W x 3 uint8. Raises FrameError for an encoding nothing here knows."""
    if message.encoding not in COLOUR_ENCODINGS:
        return _convert_rare(message)
    pixels = _frame(message).pixels()
    order = {
        "bgr8": cv2.COLOR_BGR2RGB,
        "rgba8": cv2.COLOR_RGBA2RGB,
        "bgra8": cv2.COLOR_BGRA2RGB,
        "mono8": cv2.COLOR_GRAY2RGB,
    }
    code = order.get(message.encoding)
    pixels = np.ascontiguousarray(pixels)
    return pixels if code is None else cv2.cvtColor(pixels, code)


def to_metres(message: Any) -> npt.NDArray[np.float32]:
    """A depth sensor_msgs/Image as H x W float32 metres, NaN where unknown (REP 118). Raises FrameError."""
    frame = _frame(message)
    if not frame.is_depth:
        raise FrameError(f"encoding {frame.encoding} is no depth: use one of {', '.join(DEPTH_ENCODINGS)}")
    metres = frame.pixels().astype(np.float32)
    if DEPTH_ENCODINGS[message.encoding][1] == 2:
        metres /= 1000
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    return metres


class ViewAssembler:
    """Collects the images of four topics until those of one mask are together.

    Mask and overlay carry the RGB image's stamp; of the depth images the nearest belongs to it.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, OrderedDict[int, Any]] = {
            topic: OrderedDict() for topic in ("rgb", "depth", "mask", "overlay")
        }

    def add(self, topic: str, stamp: int, message: Any) -> None:
        images = self._waiting[topic]
        images[stamp] = message
        while len(images) > KEPT:
            images.popitem(last=False)

    def complete(self, stamp: int) -> bool:
        """Whether RGB, mask and overlay of this stamp have arrived."""
        return all(stamp in self._waiting[topic] for topic in ("rgb", "mask", "overlay"))

    def view(self, stamp: int, largest_width: int = PANEL_WIDTH) -> View:
        """The view of a stamp that is complete, reduced to at most ``largest_width`` columns."""
        rgb = to_rgb(self._waiting["rgb"][stamp])
        height, width = rgb.shape[:2]
        if width > largest_width:
            height, width = round(height * largest_width / width), largest_width
        depth = None
        if depths := self._waiting["depth"]:
            nearest = depths[min(depths, key=lambda other: abs(other - stamp))]
            # The node may have segmented RGB alone because the depth is of no use; so is its picture then.
            with suppress(FrameError):
                depth = cv2.resize(to_metres(nearest), (width, height), interpolation=cv2.INTER_NEAREST)
        mask = np.ascontiguousarray(_frame(self._waiting["mask"][stamp]).pixels())
        return View(
            stamp,
            cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA),
            depth,
            cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST),
            cv2.resize(
                to_rgb(self._waiting["overlay"][stamp]), (width, height), interpolation=cv2.INTER_AREA
            ),
        )


def _convert_rare(message: Any) -> npt.NDArray[np.uint8]:
    """Bayer, YUV and 16-bit colour, without row padding."""
    from rosbags.image import ImageError, message_to_cvimage

    try:
        return np.ascontiguousarray(message_to_cvimage(message, "rgb8"))
    except ImageError as error:
        raise FrameError(f"images with encoding {message.encoding} cannot be shown: {error}") from error


def _frame(message: Any) -> Frame:
    return Frame.from_buffer(
        message.data, message.height, message.width, message.encoding, message.step, message.is_bigendian
    )
