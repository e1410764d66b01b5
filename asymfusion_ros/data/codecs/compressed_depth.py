"""image_transport's ``compressedDepth``: 16-bit images as PNG or RVL behind a header of 12 bytes.

The header is an int32 and two float32, a and b, little-endian. 16-bit depth is stored as it is. Float depth
is stored as 16-bit inverse depth: a value is floor(a / depth + b), and 0 where nothing was measured; back
again, depth = a / (value - b), which is at most depth^2 / (a - depth) too far.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.bounds import check_encoded_size
from asymfusion_ros.data.codecs import opencv, rvl
from asymfusion_ros.data.codecs.formats import DEPTH_TRANSPORT, Format
from asymfusion_ros.data.codecs.headers import PNG_SIGNATURE, Header, read_header
from asymfusion_ros.errors import ImageError, shown

CONFIG_BYTES = 12
RVL_SIZE_BYTES = 8  # width and height, uint32
INTEGERS, FLOATS = ("16UC1", "mono16"), "32FC1"


@dataclass(frozen=True)
class CompressedDepth:
    """A checked image that is still encoded.

    data: PNG, or what follows RVL's size. encoding: of the image that was compressed. a, b: see above; of
    float depth alone.
    """

    data: memoryview
    encoding: str
    header: Header
    a: float
    b: float

    @classmethod
    def check(cls, data: memoryview, format: str) -> CompressedDepth:
        """``format``: the message's. Raises ImageError where the header says that it can't be used."""
        parsed = Format.parse(format)
        if parsed.source not in (*INTEGERS, FLOATS) or not (parsed.depth or parsed.codec == ""):
            raise ImageError(
                f"format {shown(format)} is not {DEPTH_TRANSPORT}'s (such as '16UC1; {DEPTH_TRANSPORT} png'):"
                " is the topic another transport's?"
            )
        if data.nbytes <= CONFIG_BYTES:
            raise ImageError(f"the message has {data.nbytes} bytes: no image is left behind its header")
        a, b = struct.unpack("<ff", data[4:CONFIG_BYTES])
        # Only float depth needs a and b; elsewhere they may be anything.
        if parsed.source == FLOATS and not (math.isfinite(a) and math.isfinite(b) and a > 0):
            raise ImageError(
                f"the quantisation of 32FC1 is a = {a:g}, b = {b:g}, which no {DEPTH_TRANSPORT} writes: the "
                "message is damaged"
            )
        if parsed.codec == "rvl":
            content, header = _rvl(data[CONFIG_BYTES:])
        elif parsed.codec in ("png", ""):
            content, header = _png(data[CONFIG_BYTES:])
        else:
            raise ImageError(f"format {shown(format)} names the codec {shown(parsed.codec)}: use png or rvl")
        return cls(content, parsed.source, header, a, b)

    def decode(self) -> tuple[npt.NDArray[Any], str]:
        """The pixels and their encoding: H x W, uint16 as the camera has it, or float32 metres with NaN where
        nothing was measured. Raises ImageError where it does not decode.
        """
        height, width = self.header.height, self.header.width
        if self.header.codec == "rvl":
            stored = rvl.decode(self.data, height * width).reshape(height, width)
        else:
            stored = opencv.decode(self.data, self.header)
            if stored.ndim != 2 or stored.dtype != np.uint16:
                raise ImageError("the png image does not decode to 16-bit depth: it is damaged")
        if self.encoding != FLOATS:
            return stored, self.encoding
        with np.errstate(divide="ignore"):
            depth = np.float32(self.a) / (stored.astype(np.float32) - np.float32(self.b))
        depth[stored == 0] = np.nan
        return depth, FLOATS


def _png(data: memoryview) -> tuple[memoryview, Header]:
    if bytes(data[: len(PNG_SIGNATURE)]) != PNG_SIGNATURE:
        raise ImageError(
            f"the data behind the header of {CONFIG_BYTES} bytes is not PNG, as the format says: the message "
            "is damaged"
        )
    header = read_header(data)
    if (header.channels, header.bits) != (1, 16):
        raise ImageError(
            f"a png image of {header.channels} x {header.bits} bits holds no distances: 1 x 16 bits are "
            "needed"
        )
    return data, header


def _rvl(data: memoryview) -> tuple[memoryview, Header]:
    if data.nbytes <= RVL_SIZE_BYTES:
        raise ImageError("the RVL image has no whole header: the message is cut short")
    width, height = struct.unpack("<II", data[:RVL_SIZE_BYTES])
    check_encoded_size(width, height, data.nbytes)
    return data[RVL_SIZE_BYTES:], Header("rvl", width, height, 1, 16)
