"""Rows of images of frames, as one picture to look at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.colouring import colour_values, value_range
from asymfusion_ros.data.input_spec import InputSpec

Picture = npt.NDArray[np.uint8]
HEIGHT = 180  # pixels of a frame in the picture


def shown(image: npt.NDArray[np.generic], spec: InputSpec, name: str) -> Picture:
    """A modality's image of a Frame as H x W x 3 uint8 RGB."""
    if image.ndim == 3:
        return image.astype(np.uint8)
    values = image.astype(np.float32)
    if spec.modality(name).kind == "range":
        values = np.where(values > 0, values, np.nan)
    return colour_values(values, *value_range(values))


def in_rows(rows: Sequence[Sequence[Picture]]) -> Picture:
    """H x W x 3 images of a size for each row -> one picture, each HEIGHT pixels high."""
    joined = [np.hstack([_small(image) for image in row]) for row in rows]
    width = max(row.shape[1] for row in joined)
    return np.vstack([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in joined])


def _small(image: Picture) -> Picture:
    width = round(image.shape[1] * HEIGHT / image.shape[0])
    small = cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return np.pad(small, ((0, 0), (0, 4), (0, 0))).astype(np.uint8)
