"""Bayer, YUV and 16-bit colour images to rgb8, by cv_bridge where it works, else by rosbags-image.

A cv_bridge built against NumPy 1 imports under NumPy 2 and fails later, for some encodings. So each encoding
is tried on an image whose answer is known before a converter is trusted with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages.fields import Header, ImageMessage, PlainImage

# encodings that a conversion to rgb8 makes usable -> bytes a pixel
CONVERTED_ENCODINGS = {
    **{f"bayer_{order}8": 1 for order in ("rggb", "bggr", "gbrg", "grbg")},
    **{f"bayer_{order}16": 2 for order in ("rggb", "bggr", "gbrg", "grbg")},
    **dict.fromkeys(("yuv422", "uyvy", "yuv422_yuy2", "yuyv"), 2),
    **{"rgb16": 6, "bgr16": 6, "rgba16": 8, "bgra16": 8},
}
Rgb = npt.NDArray[np.uint8]
Converter = Callable[[ImageMessage], Rgb]

_PROBE_SIZE = 8
NO_HEADER: Header = SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=0), frame_id="")


class ColourConversion:
    """Converts a message of one of CONVERTED_ENCODINGS to H x W x 3 RGB uint8.

    ``log`` gets one line for each encoding, naming the converter in use. Raises ImageError where none works.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._chosen: dict[str, Converter] = {}

    def __call__(self, message: ImageMessage) -> Rgb:
        if message.encoding not in self._chosen:
            self._chosen[message.encoding] = self._choose(message.encoding)
        try:
            return self._chosen[message.encoding](message)
        except conversion_errors() as error:
            raise ImageError(
                f"an image of {message.width}x{message.height} {message.encoding} cannot be converted to "
                f"rgb8 ({_first_line(error)}): republish it as rgb8"
            ) from error

    def _choose(self, encoding: str) -> Converter:
        faults = []
        for name, load in (("cv_bridge", load_cv_bridge), ("rosbags-image", load_rosbags_image)):
            try:
                convert = load()
                answer = convert(red_image(encoding))
            except conversion_errors() as error:
                faults.append(f"{name}: {_first_line(error)}")
                continue
            if answer.shape == (_PROBE_SIZE, _PROBE_SIZE, 3) and _is_red(answer):
                because = f" ({'; '.join(faults)})" if faults else ""
                self._log(f"{encoding} images are converted to rgb8 by {name}{because}")
                return convert
            faults.append(f"{name}: a red {encoding} image did not come out red")
        raise ImageError(
            f"encoding {encoding!r} needs a converter and none works ({'; '.join(faults)}): "
            "pip install rosbags-image opencv-python-headless, or republish the image as rgb8"
        )


def conversion_errors() -> tuple[type[Exception], ...]:
    """What a converter that is missing, broken or fed with nonsense raises. Asked for when something was
    raised: OpenCV is not imported for images that need no conversion.
    """
    types: list[type[Exception]] = [ImportError, AttributeError, TypeError, ValueError, RuntimeError]
    with suppress(ImportError):
        import cv2

        types.append(cv2.error)
    with suppress(ImportError):
        from rosbags.image.image import ImageError

        types.append(ImageError)
    return tuple(types)


def load_cv_bridge() -> Converter:
    """cv_bridge's converter; raises one of ``conversion_errors`` where it doesn't work."""
    from cv_bridge import CvBridge

    bridge = CvBridge()
    return lambda message: bridge.imgmsg_to_cv2(message, "rgb8")


def load_rosbags_image() -> Converter:
    """rosbags-image's converter; raises ImportError where it or OpenCV is missing."""
    from rosbags.image import message_to_cvimage

    def convert(message: ImageMessage) -> Rgb:
        # It takes rows as they would be without padding.
        row = message.width * CONVERTED_ENCODINGS[message.encoding]
        flat = np.frombuffer(message.data, np.uint8)
        rows = np.lib.stride_tricks.as_strided(flat, (message.height, row), (message.step, 1))
        unpadded: Any = SimpleNamespace(
            encoding=message.encoding,
            height=message.height,
            width=message.width,
            is_bigendian=bool(message.is_bigendian),
            data=np.ascontiguousarray(rows).data,
        )
        return np.asarray(message_to_cvimage(unpadded, "rgb8"))

    return convert


def red_image(encoding: str, size: int = _PROBE_SIZE) -> ImageMessage:
    """A pure red image of ``size`` x ``size`` pixels in one of CONVERTED_ENCODINGS."""
    if encoding.startswith("bayer_"):
        order, wide = encoding[6:10], encoding.endswith("16")
        tile = np.array([channel == "r" for channel in order]).reshape(2, 2)
        pixels = np.tile(tile, (size // 2, size // 2)) * (65535 if wide else 255)
    elif encoding in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv"):
        y, u, v = 81, 90, 240  # red in BT.601, limited range
        pair = [u, y, v, y] if encoding in ("yuv422", "uyvy") else [y, u, y, v]
        pixels = np.tile(pair, (size, size // 2))
        wide = False
    else:
        pixel = {"r": 65535, "g": 0, "b": 0, "a": 65535}
        pixels = np.tile([pixel[channel] for channel in encoding[:-2]], (size, size))
        wide = True
    # Two bytes a channel, low byte first, are twice as many bytes in a row.
    image = pixels.astype("<u2" if wide else "u1").view(np.uint8)
    return PlainImage.of(NO_HEADER, image, encoding, size)


def _is_red(image: Rgb) -> bool:
    # YUV's rounding and ranges leave a little of the other channels.
    return bool((image[..., 0] > 220).all() and (image[..., 1:] < 30).all())


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
