"""sensor_msgs/Image to RawImage and back.

The encodings that the engine reads are passed on as they are, without a copy. Bayer, YUV and 16-bit colour
images are converted to rgb8 first (conversion.py).
"""

from __future__ import annotations

import array
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from asymfusion_ros.data.encodings import COLOUR, RANGE
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ImageError

# encodings that a conversion to rgb8 makes usable -> bytes a pixel
CONVERTED_ENCODINGS = {
    **{f"bayer_{order}8": 1 for order in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{order}16": 2 for order in ("rggb", "bggr", "gbrg", "grbg")},
    **dict.fromkeys(("yuv422", "uyvy", "yuv422_yuy2", "yuyv"), 2),
    **{"rgb16": 6, "bgr16": 6, "rgba16": 8, "bgra16": 8},
}
# OpenCV's names say nothing of the channel order; what publishes them holds OpenCV's own.
OPENCV_ENCODINGS = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}

Convert = Callable[[Image], npt.NDArray[np.uint8]]  # to H x W x 3 rgb8


def check_rgb(message: Image) -> None:
    """Raises ImageError where ``message`` is no colour image that ``read_rgb`` can read. Costs no copy."""
    if message.encoding in CONVERTED_ENCODINGS:
        _check_size(message, CONVERTED_ENCODINGS[message.encoding])
    else:
        _colour_frame(message)


def read_rgb(message: Image, convert: Convert) -> RawImage:
    """The colour image of ``message`` over the message's own memory; ``convert`` is called for the encodings
    of CONVERTED_ENCODINGS alone. Raises ImageError saying what is wrong.
    """
    if message.encoding in CONVERTED_ENCODINGS:
        _check_size(message, CONVERTED_ENCODINGS[message.encoding])
        return RawImage.from_array(convert(message), "rgb8")
    return _colour_frame(message)


def read_depth(message: Image) -> RawImage:
    """The depth image of ``message`` over the message's own memory; ImageError says what is wrong."""
    if message.encoding not in RANGE:
        swapped = message.encoding in COLOUR or message.encoding in CONVERTED_ENCODINGS
        hint = "are the RGB and depth topics swapped?" if swapped else "republish it as 16UC1 or 32FC1"
        raise ImageError(f"encoding {message.encoding!r} is not depth ({', '.join(RANGE)}): {hint}")
    return _frame(message, message.encoding)


def _colour_frame(message: Image) -> RawImage:
    encoding = OPENCV_ENCODINGS.get(message.encoding, message.encoding)
    if encoding in RANGE:
        raise ImageError(f"encoding {encoding!r} is not colour: are the RGB and depth topics swapped?")
    if encoding not in COLOUR:
        known = ", ".join([*COLOUR, *CONVERTED_ENCODINGS])
        raise ImageError(f"encoding {encoding!r} is not supported: republish the image as one of {known}")
    return _frame(message, encoding)


def _frame(message: Image, encoding: str) -> RawImage:
    return RawImage.from_buffer(
        message.data, message.height, message.width, encoding, message.step, bool(message.is_bigendian)
    )


def _check_size(message: Image, pixel_bytes: int) -> None:
    # A mono8 image of as many bytes has the same layout, and RawImage checks itself.
    try:
        RawImage.from_buffer(message.data, message.height, message.width * pixel_bytes, "mono8", message.step)
    except ImageError as error:
        raise ImageError(f"{message.encoding} image, counted as bytes: {error}") from error


def has_valid_depth(depth: RawImage) -> bool:
    """False where no pixel has a distance: 16-bit depth all 0, float depth nowhere finite and positive."""
    pixels = depth.pixels()
    if pixels.dtype.kind == "u":
        return bool(pixels.any())
    return bool(np.any(np.isfinite(pixels) & (pixels > 0)))


def rgb_pixels(frame: RawImage) -> npt.NDArray[np.uint8]:
    """The frame as H x W x 3 RGB uint8, a view where the layout allows; depth in grey, near bright."""
    pixels = frame.pixels()
    if frame.encoding in RANGE:
        return _grey_depth(pixels)
    if frame.encoding == "mono8":
        return np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
    if frame.encoding in ("bgr8", "bgra8"):
        return pixels[..., 2::-1]
    return pixels[..., :3]


def _grey_depth(pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    distance = pixels.astype(np.float32)
    valid = np.isfinite(distance) & (distance > 0)
    farthest = distance.max(initial=0.0, where=valid)
    grey = np.zeros(distance.shape, np.uint8)
    if farthest > 0:
        grey[valid] = 255 - (distance[valid] * (200 / farthest)).astype(np.uint8)
    return np.broadcast_to(grey[..., None], (*grey.shape, 3))


def image_message(header: Header, image: npt.NDArray[np.uint8], encoding: str) -> Image:
    """A message over an H x W or H x W x C uint8 array, with rows unpadded (step is width x C)."""
    image = np.ascontiguousarray(image)
    height, width = image.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding, is_bigendian=0)
    message.step = image.nbytes // height
    message.data = message_data(image)
    return message


def message_data(image: npt.NDArray[np.uint8]) -> array.array[int]:
    """A copy of contiguous bytes for a message's ``data``. rclpy takes an array.array over as it is; a list
    or bytes would be checked number by number.
    """
    data = array.array("B")
    data.frombytes(image)
    return data
