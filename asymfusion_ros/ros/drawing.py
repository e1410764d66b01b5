"""Labels as pictures: class colours alone, or laid over the camera's picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]


class LabelPainter:
    """Paints H x W uint8 labels with a palette (256 x 3 uint8, RGB); ``opacity`` 0..1 is the overlay's."""

    def __init__(self, palette: Picture, opacity: float) -> None:
        self._palette = np.ascontiguousarray(palette, np.uint8)
        # In 256ths: 255 x 256 still fits 16 bits, in which the blend is several times faster than in floats.
        self._weight = round(opacity * 256)

    def colours(self, labels: Picture) -> Picture:
        """H x W x 3 RGB: each pixel in its class's colour."""
        return np.take(self._palette, labels, axis=0)

    def blend(self, picture: Picture, colours: Picture) -> Picture:
        """H x W x 3 RGB: ``colours`` over ``picture``, both H x W x 3 RGB."""
        # dtype is stated because NumPy 1 would compute with so small a factor in 8 bits.
        mixed = np.multiply(picture, 256 - self._weight, dtype=np.uint16)
        mixed += np.multiply(colours, self._weight, dtype=np.uint16)
        return (mixed >> 8).astype(np.uint8)
