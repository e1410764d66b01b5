"""image_transport's ``compressed``: PNG and JPEG of any kind of image.

The order of the colours is as its subscribers take it: where the format has the word "compressed" with no
"bgr" after it, red and blue were compressed in each other's place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.codecs import opencv
from asymfusion_ros.data.codecs.formats import DEPTH_TRANSPORT, Format
from asymfusion_ros.data.codecs.headers import Header, read_header
from asymfusion_ros.errors import ImageError, shown

COLOURS = {f"{order}{bits}" for order in ("rgb", "bgr", "rgba", "bgra") for bits in (8, 16)}
MOSAICS = {f"bayer_{order}{bits}" for order in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)}
DISTANCES = ("16UC1", "32FC1", "mono16")  # of which a picture for people may be made, but no colour


@dataclass(frozen=True)
class Compressed:
    """A checked image that is still encoded.

    data: its bytes. kind: of the modality that it is to be (colour, range or scalar).
    """

    data: memoryview
    format: Format
    header: Header
    kind: str

    @classmethod
    def check(cls, data: memoryview, format: str, kind: str) -> Compressed:
        """``format``: the message's. Raises ImageError where the header says that it can't be used."""
        parsed = Format.parse(format)
        if parsed.depth:
            raise ImageError(
                f"format {shown(format)} is {DEPTH_TRANSPORT}'s: set depth_image_transport to "
                f"{DEPTH_TRANSPORT}"
            )
        header = read_header(data)
        single, wide = header.channels == 1, header.bits == 16
        what = f"a {header.codec} image of {header.channels} x {header.bits} bits (format {shown(format)})"
        if kind == "range" and not (single and wide):
            raise ImageError(
                f"{what} holds no distances: compress depth as 16-bit png, or use {DEPTH_TRANSPORT}; are the "
                "topics swapped?"
            )
        if kind == "scalar" and not single:
            raise ImageError(f"{what} has more than one value a pixel: are the topics swapped?")
        if kind == "colour" and (parsed.source in DISTANCES or (single and wide and not _mosaic(parsed))):
            raise ImageError(f"{what} is not a colour image: are the topics swapped?")
        return cls(data, parsed, header, kind)

    def decode(self) -> tuple[npt.NDArray[Any], str]:
        """The pixels and their encoding: H x W (x C), contiguous.

        colour: 8 bits in rgb8, bgr8, rgba8, bgra8 or mono8, or a mosaic in the camera's own Bayer encoding.
        range: uint16 in 16UC1. scalar: mono8 or 16UC1. Raises ImageError where it does not decode.
        """
        pixels = opencv.decode(self.data, self.header)
        what, channels = f"the {self.header.codec} image", pixels.shape[2] if pixels.ndim == 3 else 1
        if self.kind != "colour":
            if channels != 1:
                raise ImageError(f"{what} decodes to {channels} channels: it is damaged")
            return pixels, "16UC1" if pixels.dtype == np.uint16 else "mono8"
        if channels == 1 and _mosaic(self.format):
            bits = 8 * pixels.dtype.itemsize  # a JPEG of 16-bit values has kept 8
            return pixels, self.format.source.rstrip("0123456789") + str(bits)
        if channels == 1:
            return _eight_bits(pixels), "mono8"
        if channels not in (3, 4):
            raise ImageError(f"{what} decodes to {channels} channels: republish it as rgb8")
        exchanged = (
            self.format.by_transport
            and self.format.source in COLOURS
            and not self.format.target.startswith("bgr")
        )
        encoding = ("rgb8" if exchanged else "bgr8") if channels == 3 else ("rgba8" if exchanged else "bgra8")
        return _eight_bits(pixels), encoding


def _mosaic(format: Format) -> bool:
    """Whether the pixels are a Bayer mosaic: image_transport makes a grey image of one, or leaves it."""
    return format.source in MOSAICS and format.target != "mono8"


def _eight_bits(pixels: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    import cv2  # decoding has needed it already

    return np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257))
