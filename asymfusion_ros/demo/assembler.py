"""Puts a view together from the images that arrived over the topics."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image

from asymfusion_ros.demo.views import View
from asymfusion_ros.errors import ImageError
from asymfusion_ros.ros.images import Convert, read_depth, read_rgb, rgb_pixels
from asymfusion_ros.ros.inputs.conversion import ColourConversion

PANEL_WIDTH = 640  # pixels; views are kept for the whole run, so larger cameras are reduced at once
KEPT = 48  # images a topic that may wait for the others: 3 s of a 15 Hz stream


def to_rgb(message: Image, convert: Convert) -> npt.NDArray[np.uint8]:
    """A colour image as H x W x 3 uint8, read as the node reads it. Raises ImageError."""
    return np.ascontiguousarray(rgb_pixels(read_rgb(message, convert)))


def to_metres(message: Image) -> npt.NDArray[np.float32]:
    """A depth image as H x W float32 metres, NaN where unknown (REP 118). Raises ImageError."""
    frame = read_depth(message)
    metres = frame.pixels().astype(np.float32)
    if frame.layout.dtype == "uint16":
        metres /= 1000
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    return metres


class ViewAssembler:
    """Collects the images of four topics until those of one mask are together.

    Mask and overlay carry the RGB image's stamp; of the depth images the nearest belongs to it. ``say`` gets
    a line for each encoding that has to be converted.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._convert = ColourConversion(say)
        self._waiting: dict[str, OrderedDict[int, Image]] = {
            topic: OrderedDict() for topic in ("rgb", "depth", "mask", "overlay")
        }

    def add(self, topic: str, stamp: int, message: Image) -> None:
        images = self._waiting[topic]
        images[stamp] = message
        while len(images) > KEPT:
            images.popitem(last=False)

    def complete(self, stamp: int) -> bool:
        """Whether RGB, mask and overlay of this stamp have arrived."""
        return all(stamp in self._waiting[topic] for topic in ("rgb", "mask", "overlay"))

    def view(self, stamp: int, largest_width: int = PANEL_WIDTH) -> View:
        """The view of a stamp that is complete, reduced to at most ``largest_width`` columns.

        Raises ImageError where the RGB image cannot be drawn.
        """
        rgb = to_rgb(self._waiting["rgb"][stamp], self._convert)
        overlay = to_rgb(self._waiting["overlay"][stamp], self._convert)
        # Grey in the message, but class numbers: one channel, as it came.
        mask = np.ascontiguousarray(read_rgb(self._waiting["mask"][stamp], self._convert).pixels())
        height, width = rgb.shape[:2]
        if width > largest_width:
            height, width = max(1, round(height * largest_width / width)), largest_width
        size = (width, height)
        depth = None
        if depths := self._waiting["depth"]:
            nearest = depths[min(depths, key=lambda other: abs(other - stamp))]
            # The node may have segmented RGB alone because the depth is of no use; so is its picture then.
            with suppress(ImageError):
                depth = cv2.resize(to_metres(nearest), size, interpolation=cv2.INTER_NEAREST)
        return View(
            stamp,
            cv2.resize(rgb, size, interpolation=cv2.INTER_AREA),
            depth,
            cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST),
            cv2.resize(overlay, size, interpolation=cv2.INTER_AREA),
        )
