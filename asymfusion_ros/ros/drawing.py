"""Labels as pictures: class colours alone, or laid over the camera's picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


class LabelPainter:
    """Paints H x W uint8 labels with a palette (256 x 3 uint8, RGB); ``opacity`` 0..1 is the overlay's."""

    def __init__(self, palette: Picture, opacity: float) -> None:
        self._palette = np.ascontiguousarray(palette, np.uint8)
        levels = np.arange(256)
        # Two tables, each rounded down, so that their sum stays within 255 and uint8 does for the blend.
        self._dimmed = (levels * (1.0 - opacity)).astype(np.uint8)
        self._tinted = (self._palette * opacity).astype(np.uint8)

    def colours(self, labels: Picture) -> Picture:
        """H x W x 3 RGB: each pixel in its class's colour."""
        return np.take(self._palette, labels, axis=0)

    def overlay(self, picture: Picture, labels: Picture) -> Picture:
        """H x W x 3 RGB: the class colours over ``picture`` (H x W x 3 RGB)."""
        return np.take(self._dimmed, picture) + np.take(self._tinted, labels, axis=0)
