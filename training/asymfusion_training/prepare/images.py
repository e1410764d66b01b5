"""Images of an original data set in, PNGs of the folder format out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.errors import UserError

PNG = b"\x89PNG\r\n\x1a\n"
ENDS = {PNG: b"IEND", b"\xff\xd8": b"\xff\xd9"}  # first bytes of a PNG, a JPEG -> what is among the last
DAMAGED = "does not decode as an image: it is damaged, or cut short"


class SourceError(UserError):
    """A file of the data that is missing or wrong: this frame cannot be used, but the others can."""


def read_image(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> npt.NDArray[Any]:
    """H x W or H x W x C (BGR), as stored. Raises SourceError naming the file and what is wrong with it."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SourceError(f"{path} is missing") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise SourceError(f"{path} is empty (0 bytes)")
    # Some versions of OpenCV fill what is missing with grey, or print lines of their own.
    end = next((end for start, end in ENDS.items() if data.startswith(start)), b"")
    if end not in data[-1024:]:
        raise SourceError(f"{path} {DAMAGED}")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # a size beyond all bounds in the header
        raise SourceError(f"{path} does not decode as an image ({error.err})") from error
    if image is None:
        raise SourceError(f"{path} {DAMAGED}")
    return image


def png_size(path: Path) -> tuple[int, int]:
    """(height, width) of an 8-bit RGB PNG, by its first and last bytes only: decoding it takes far longer.

    Raises SourceError for a file that is missing, cut short or no such PNG.
    """
    try:
        with path.open("rb") as file:
            head = file.read(26)
            file.seek(-min(12, path.stat().st_size), 2)
            tail = file.read()
    except FileNotFoundError:
        raise SourceError(f"{path} is missing") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    if head[:8] != PNG or head[24:26] != b"\x08\x02":
        raise SourceError(f"{path} is not an 8-bit RGB PNG")
    if tail[4:8] != b"IEND":
        raise SourceError(f"{path} {DAMAGED}")
    return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")
