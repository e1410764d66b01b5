"""Images of an original data set in, PNGs of the folder format out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy.typing as npt

from asymfusion_ros.data import image_file
from asymfusion_ros.data.image_file import DAMAGED, PNG
from asymfusion_ros.errors import UserError


class SourceError(UserError):
    """A file of the data that is missing or wrong: this frame cannot be used, but the others can."""


def read_image(path: Path, flags: int = cv2.IMREAD_UNCHANGED) -> npt.NDArray[Any]:
    """H x W or H x W x C (BGR), as stored. Raises SourceError naming the file and what is wrong with it."""
    return image_file.read_image(path, flags, SourceError)


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
