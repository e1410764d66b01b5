"""Images out of files that may be damaged: decoded whole and within a size, or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.errors import UserError

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
ENDS = {PNG: b"IEND", JPEG: b"\xff\xd9"}  # first bytes -> what is among the last
MOST_PIXELS = 1 << 26  # 8192 x 8192: beyond it a few kilobytes of PNG take gigabytes
# Frame headers of JPEG: SOF0 to SOF15 without DHT, JPG and DAC.
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
DAMAGED = "does not decode as an image: it is damaged, or cut short"


def read_image(
    path: Path, flags: int = cv2.IMREAD_UNCHANGED, refusal: type[UserError] = UserError
) -> npt.NDArray[Any]:
    """H x W or H x W x C (BGR), as stored. Raises ``refusal``, naming the file and what is wrong with it."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise refusal(f"{path} is missing") from None
    except OSError as error:
        raise refusal(f"{path} cannot be read: {error.strerror}") from error
    return decode_image(data, str(path), flags, refusal)


def decode_image(
    data: bytes, path: str, flags: int = cv2.IMREAD_UNCHANGED, refusal: type[UserError] = UserError
) -> npt.NDArray[Any]:
    """The same of a file's bytes; ``path``: what it is called."""
    if not data:
        raise refusal(f"{path} is empty (0 bytes)")
    # Some versions of OpenCV fill what is missing with grey, or print lines of their own.
    end = next((end for start, end in ENDS.items() if data.startswith(start)), b"")
    if end not in data[-1024:]:
        raise refusal(f"{path} {DAMAGED}")
    if (size := image_size(data)) is None:
        raise refusal(f"{path} {DAMAGED}")
    height, width = size
    if height * width > MOST_PIXELS:
        raise refusal(f"{path} is {width}x{height}: an image may have {MOST_PIXELS} pixels")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # a size beyond all bounds in the header of another format
        raise refusal(f"{path} does not decode as an image ({error.err})") from error
    if image is None:
        raise refusal(f"{path} {DAMAGED}")
    return image


def image_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) by the header of a PNG or JPEG, None where there is none; of anything else (0, 0)."""
    if data.startswith(PNG):
        return (int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big"))
    if not data.startswith(JPEG):
        return 0, 0
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _FRAMES:
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        elif marker == 0xDA:  # the scan: no frame header came before
            break
        else:
            at += 2 + length
    return None
