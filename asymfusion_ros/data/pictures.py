"""Images of any modality as pictures for people: H x W x 3 uint8 RGB."""

from __future__ import annotations

from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch

from asymfusion_ros.data.modality import ImageLayout, Modality

Picture = npt.NDArray[np.uint8]


class StoredImage(ImageLayout, Protocol):
    """An image with its bytes (asymfusion_ros.engine.RawImage)."""

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        """Its bytes, flat."""

    def pixels(self) -> npt.NDArray[Any]:
        """H x W (x C), a view of them."""


def picture(image: StoredImage, modality: Modality) -> Picture:
    """The image as a picture, a view where the layout allows; what has one value a pixel in grey."""
    if modality.kind != "colour":
        return grey(measurements(image, modality), near_bright=modality.kind == "range")
    pixels = image.pixels()
    order = modality.encodings[image.encoding].order
    if not order:
        return np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
    return cast(Picture, pixels[..., :3] if order == (0, 1, 2) else pixels[..., 2::-1])


def measurements(image: StoredImage, modality: Modality) -> npt.NDArray[np.float32]:
    """H x W in the modality's physical unit, NaN where nothing was measured; of a modality with one value a
    pixel."""
    values = modality.decode(torch.from_numpy(image.data), image)
    return torch.where(modality.valid(values), values, torch.nan)[0, 0].numpy()


def grey(values: npt.NDArray[np.float32], near_bright: bool) -> Picture:
    """H x W, NaN where unknown -> grey from 55 to 255, black where unknown.

    near_bright: distances, with 0 the brightest and the farthest the darkest; else the lowest value is the
    darkest and the highest the brightest.
    """
    known = np.isfinite(values)
    shown = np.zeros(values.shape, np.uint8)
    if known.any():
        low = 0.0 if near_bright else values[known].min()
        span = values[known].max() - low
        step = ((values[known] - low) * (200 / span if span > 0 else 0)).astype(np.uint8)
        shown[known] = 255 - step if near_bright else 55 + step
    return np.broadcast_to(shown[..., None], (*shown.shape, 3))
