"""One moment of the demonstration: what the camera saw and what the node made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class View:
    """All H x W: rgb and overlay uint8 RGB, depth float32 metres with NaN where
    unknown (or None), mask uint8. ``stamp`` is the RGB image's, in nanoseconds."""

    stamp: int
    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32] | None
    mask: npt.NDArray[np.uint8]
    overlay: npt.NDArray[np.uint8]
