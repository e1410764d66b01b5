"""What there is to see of one frame, of a recording or live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import Tensor

from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.raw_image import RawImage

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Shown:
    """A frame.

    stamp: of its reference image, nanoseconds. images: as they came, by modality; decoded: the same in their
    physical units on the host, 1 x C x H x W each, depth as the reference camera sees it. labels, confidence,
    truth: H x W uint8; disagreement: H x W or coarser, uint8; each None where there is none. geometry: its
    cameras, or None where they are not known. seconds: from the image to its mask.
    """

    stamp: int
    images: Mapping[str, RawImage] = field(default_factory=dict)
    decoded: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Pixels | None = None
    confidence: Pixels | None = None
    disagreement: Pixels | None = None
    geometry: Geometry | None = None
    seconds: float | None = None
    truth: Pixels | None = None
