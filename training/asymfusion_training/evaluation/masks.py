"""Predicted labels as images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.labels import LabelSet

COLOUR = "colour"  # the folder of the coloured ones, inside that of the masks


def save_mask(folder: Path, name: str, mask: npt.NDArray[np.uint8], labels: LabelSet) -> None:
    """``mask`` (H x W class indices) as folder/NAME.png, and coloured as folder/colour/NAME.png.

    Raises UserError where they cannot be written.
    """
    coloured = labels.palette[mask]
    for path, image in (
        (folder / f"{name}.png", mask),
        (folder / COLOUR / f"{name}.png", coloured[..., ::-1]),
    ):
        make_folder(path.parent)
        write_whole(path, png(image))


def png(image: npt.NDArray[Any]) -> bytes:
    """image: H x W, or H x W x 3 in OpenCV's order (blue first), uint8."""
    return cv2.imencode(".png", image)[1].tobytes()
