"""PNG and JPEG by OpenCV, with its faults as ImageError."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.codecs.headers import Header
from asymfusion_ros.errors import ConfigError, ImageError


def require(what: str) -> None:
    """Raises ConfigError, beginning with ``what``, where OpenCV is not installed."""
    if find_spec("cv2") is None:
        raise ConfigError(f"{what} needs OpenCV: pip install opencv-python-headless")


def decode(data: memoryview, header: Header) -> npt.NDArray[Any]:
    """H x W (x channels, in OpenCV's order) of the image's own type. Raises ImageError."""
    import cv2  # not for images that come raw

    flag = cv2.IMREAD_UNCHANGED
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        raise ImageError(f"the {header.codec} image does not decode ({error.err}): it is damaged") from error
    if pixels is None:
        raise ImageError(f"the {header.codec} image does not decode: it is damaged or cut short")
    if pixels.shape[:2] != (header.height, header.width) or pixels.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"the {header.codec} image decodes to {pixels.shape[1]}x{pixels.shape[0]} {pixels.dtype}, not to "
            f"the {header.width}x{header.height} of its header: it is damaged"
        )
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
