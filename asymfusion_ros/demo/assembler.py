"""Puts a view together from the images that arrived over the topics."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.data.pictures import measurements, picture
from asymfusion_ros.demo.views import View
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages.fields import ImageMessage
from asymfusion_ros.ros.inputs.raw import RawTransport

PANEL_WIDTH = 640  # pixels; views are kept for the whole run, so larger cameras are reduced at once
KEPT = 48  # images a topic that may wait for the others: 3 s of a 15 Hz stream


class ViewAssembler:
    """Collects the images of four topics until those of one mask are together.

    Mask and overlay carry the RGB image's stamp; of the depth images the nearest belongs to it. ``log`` gets
    a line for each encoding that has to be converted.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._transport = RawTransport(log)
        self._waiting: dict[str, OrderedDict[int, ImageMessage]] = {
            topic: OrderedDict() for topic in ("rgb", "depth", "mask", "overlay")
        }

    def add(self, topic: str, stamp: int, message: ImageMessage) -> None:
        """Keeps an image of "rgb", "depth", "mask" or "overlay" for a while."""
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
        rgb, overlay = (
            np.ascontiguousarray(picture(self._image(topic, stamp, "rgb"), KNOWN["rgb"]))
            for topic in ("rgb", "overlay")
        )
        # Grey in the message, but class numbers: one channel, as it came.
        mask: npt.NDArray[np.uint8] = np.ascontiguousarray(
            self._image("mask", stamp, "rgb").pixels(), np.uint8
        )
        height, width = rgb.shape[:2]
        if width > largest_width:
            height, width = max(1, round(height * largest_width / width)), largest_width
        size = (width, height)
        depth = None
        if depths := self._waiting["depth"]:
            nearest = min(depths, key=lambda other: abs(other - stamp))
            # The node may have segmented only RGB, because the depth is of no use; so is its picture then.
            with suppress(ImageError):
                metres = measurements(self._image("depth", nearest, "depth"), KNOWN["depth"])
                depth = cv2.resize(metres, size, interpolation=cv2.INTER_NEAREST).astype(
                    np.float32, copy=False
                )
        return View(
            stamp,
            _resized(rgb, size, cv2.INTER_AREA),
            depth,
            _resized(mask, size, cv2.INTER_NEAREST),
            _resized(overlay, size, cv2.INTER_AREA),
        )

    def _image(self, topic: str, stamp: int, modality: str) -> RawImage:
        return self._transport.decode(self._waiting[topic][stamp], KNOWN[modality]).read()


def _resized(
    image: npt.NDArray[np.uint8], size: tuple[int, int], interpolation: int
) -> npt.NDArray[np.uint8]:
    return cv2.resize(image, size, interpolation=interpolation).astype(np.uint8, copy=False)
