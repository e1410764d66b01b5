"""How an image's bytes are laid out, by encoding: names as in sensor_msgs/image_encodings.hpp. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Layout:
    """One pixel of an encoding.

    channels: values a pixel, R, G, B (, A) at ``order``'s places. dtype: of each, ``uint8``, ``uint16`` or
    ``float32``. unit: what one stored step is in the modality's physical unit; None where only the modality
    knows. order: the places of R, G and B; empty for a single channel.
    """

    channels: int
    dtype: str
    unit: float | None = None
    order: tuple[int, ...] = ()

    @property
    def value_bytes(self) -> int:
        """Bytes of one channel's value."""
        return np.dtype(self.dtype).itemsize

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel."""
        return self.channels * self.value_bytes


COLOUR = {
    "rgb8": Layout(3, "uint8", 1.0, (0, 1, 2)),
    "bgr8": Layout(3, "uint8", 1.0, (2, 1, 0)),
    "rgba8": Layout(4, "uint8", 1.0, (0, 1, 2)),
    "bgra8": Layout(4, "uint8", 1.0, (2, 1, 0)),
    "mono8": Layout(1, "uint8", 1.0),
}
# REP 118: 16-bit is millimetres with 0 invalid, 32-bit float is metres with NaN or Inf invalid.
RANGE = {
    "16UC1": Layout(1, "uint16", 0.001),
    "mono16": Layout(1, "uint16", 0.001),
    "32FC1": Layout(1, "float32", 1.0),
}
# Integers are counts of the camera's own unit; floats are in the physical unit already.
SCALAR = {
    "mono8": Layout(1, "uint8"),
    "mono16": Layout(1, "uint16"),
    "16UC1": Layout(1, "uint16"),
    "32FC1": Layout(1, "float32", 1.0),
}
# Of every encoding, whatever modality it carries; units differ between modalities, layouts do not.
LAYOUTS = {**SCALAR, **RANGE, **COLOUR}
