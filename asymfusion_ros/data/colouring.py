"""Images for people by OpenCV: values as colours, and pictures as files."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

UNKNOWN = (52, 55, 60)  # where nothing was measured


def png(image: npt.NDArray[Any]) -> bytes:
    """A PNG of H x W uint8 or uint16, or of H x W x 3 uint8 RGB."""
    if image.ndim == 3:
        image = image[..., ::-1]
    return cv2.imencode(".png", np.ascontiguousarray(image))[1].tobytes()


def value_range(values: npt.NDArray[np.floating[Any]]) -> tuple[float, float]:
    """The 2nd and 98th percentile, so that a few far pixels cost no contrast; NaN and Inf are left out."""
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, (2, 98)))
    return low, max(high, low + 0.1)


def colour_values(values: npt.NDArray[np.floating[Any]], low: float, high: float) -> npt.NDArray[np.uint8]:
    """H x W -> H x W x 3 RGB: low red, high blue, grey where nothing was measured (NaN, Inf)."""
    known = np.isfinite(values)
    scaled = np.clip((high - np.where(known, values, high)) / (high - low), 0, 1)
    bgr = cv2.applyColorMap((scaled * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    rgb = np.ascontiguousarray(bgr[..., ::-1]).astype(np.uint8)
    rgb[~known] = UNKNOWN
    return rgb


def enlarged(coarse: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """h x w -> ``size`` (height, width), bilinearly."""
    if coarse.shape == size:
        return coarse
    full = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return full.astype(np.uint8, copy=False)
