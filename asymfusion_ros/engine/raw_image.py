"""One camera image as it came off the wire: its bytes and how to read them.

A frame keeps the raw buffer, so that the device gets it in one copy and does the rest (channel order,
row padding, byte order, scaling). Checking it here costs no copy.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.bounds import check_size
from asymfusion_ros.data.encodings import LAYOUTS, Layout
from asymfusion_ros.errors import ImageError, shown

ByteBuffer = npt.NDArray[np.uint8] | bytes | bytearray | memoryview


@dataclass(frozen=True)
class RawImage:
    """An image in the layout of sensor_msgs/Image.

    ``data`` is the flat buffer; row ``r`` begins at byte ``r * step`` and may be padded at its end.
    ``bigendian`` concerns only 16- and 32-bit encodings. Raises ImageError where the buffer cannot hold
    what the other fields promise.
    """

    data: npt.NDArray[np.uint8]
    height: int
    width: int
    encoding: str
    step: int
    bigendian: bool = False

    def __post_init__(self) -> None:
        _check_encoding(self.encoding)
        check_size(self.width, self.height)
        row = self.width * self.layout.pixel_bytes
        check_buffer(self.data.size, self.height, self.step, row, f"{self.width} {self.encoding}")

    @property
    def layout(self) -> Layout:
        """How a pixel lies in ``data``."""
        return LAYOUTS[self.encoding]

    @classmethod
    def from_buffer(
        cls, data: ByteBuffer, height: int, width: int, encoding: str, step: int, bigendian: bool = False
    ) -> RawImage:
        """A frame over anything with the buffer protocol (``array.array`` as rclpy gives it); no copy."""
        flat = np.frombuffer(data, dtype=np.uint8)
        return cls(flat, int(height), int(width), encoding, int(step), bool(bigendian))

    @classmethod
    def from_array(cls, image: npt.NDArray[np.generic], encoding: str | None = None) -> RawImage:
        """A frame over an array: H x W x 3 uint8 is rgb8, H x W x 4 uint8 rgba8, H x W uint8 mono8,
        H x W uint16 16UC1 (millimetres), H x W float32 32FC1 (metres), unless ``encoding`` says otherwise.
        """
        if encoding is None:
            channels = image.shape[2] if image.ndim == 3 else 1
            kinds = {
                ("uint8", 3): "rgb8",
                ("uint8", 4): "rgba8",
                ("uint8", 1): "mono8",
                ("uint16", 1): "16UC1",
                ("float32", 1): "32FC1",
            }
            encoding = kinds.get((image.dtype.name, channels))
            if encoding is None or image.ndim not in (2, 3):
                raise ImageError(
                    f"an array of {image.dtype.name} with shape {image.shape} is neither RGB "
                    "(H x W x 3 uint8) nor depth (H x W, uint16 millimetres or float32 metres)"
                )
        else:
            _check_layout(image, encoding)
        image = np.ascontiguousarray(image)
        if 0 in image.shape:
            raise ImageError(f"the image has shape {image.shape}: it has no pixels")
        step = image.strides[0] if image.shape[0] > 1 else image.nbytes
        big = image.dtype.byteorder == ">" or (image.dtype.byteorder == "=" and sys.byteorder == "big")
        flat = image.reshape(-1).view(np.uint8)
        return cls(flat, image.shape[0], image.shape[1], encoding, step, big)

    def pixels(self) -> npt.NDArray[np.generic]:
        """The image as a strided array without a copy: H x W (x channels), in the frame's byte order."""
        layout = self.layout
        dtype = np.dtype(layout.dtype).newbyteorder(">" if self.bigendian else "<")
        shape: tuple[int, ...] = (self.height, self.width)
        strides: tuple[int, ...] = (self.step, layout.pixel_bytes)
        if layout.channels > 1:
            shape, strides = (*shape, layout.channels), (*strides, layout.value_bytes)
        return np.ndarray(shape, dtype, self.data, 0, strides)


def check_buffer(size: int, height: int, step: int, row: int, pixels: str) -> None:
    """Raises ImageError where ``size`` bytes do not hold ``height`` rows, of ``row`` bytes each, that begin
    ``step`` bytes apart; ``pixels`` is what a row holds, for the message.
    """
    if step < row:
        raise ImageError(f"step is {step} bytes, but a row of {pixels} pixels needs {row}")
    # The last row may come without its padding.
    if size < step * (height - 1) + row:
        raise ImageError(
            f"data has {size} bytes, but step x height = {step} x {height} needs {step * height}: the "
            "message is cut short"
        )


def _check_encoding(encoding: str) -> None:
    if encoding not in LAYOUTS:
        raise ImageError(f"encoding {shown(encoding)} is not supported: use one of {', '.join(LAYOUTS)}")


def _check_layout(image: npt.NDArray[np.generic], encoding: str) -> None:
    """Raises ImageError where an array cannot be of ``encoding``."""
    _check_encoding(encoding)
    layout = LAYOUTS[encoding]
    channels = layout.channels
    shapes = ["H x W", "H x W x 1"] if channels == 1 else [f"H x W x {channels}"]
    fits = image.shape[2:] == (channels,) or (image.ndim == 2 and channels == 1)
    if image.dtype.name != layout.dtype or not fits:
        raise ImageError(
            f"an array of {image.dtype.name} with shape {image.shape} is not {encoding}: "
            f"that is {' or '.join(shapes)}, {layout.dtype}"
        )
