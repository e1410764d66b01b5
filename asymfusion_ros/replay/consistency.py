"""How steady the masks are: whether pixels keep their class where nothing moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

STEP = 4  # every fourth pixel each way is looked at, which costs a frame a millisecond
COLOUR = 12.0  # levels of 255: R, G and B of a still pixel differ by no more
METRES, SHARE = 0.02, 0.02  # a still pixel's distances differ by no more than 2 cm or 2 %
STALE = 1_000_000_000  # nanoseconds between two frames that are too far apart to compare


class Consistency:
    """Temporal consistency: of the pixels that are still from one frame to the next, the share that keep
    their class.

    A pixel is still where R, G and B each differ by at most COLOUR and, of frames with depth, both distances
    were measured and differ by at most METRES or SHARE of the nearer one, whichever is more. Every STEP-th
    row and column is looked at. Frames of different sizes or modalities, or more than STALE apart, are not
    compared, nor are frames without colour and depth.
    """

    def __init__(self, colours: Sequence[str], ranges: Sequence[str]) -> None:
        """``colours``, ``ranges``: the names of the modalities of these kinds."""
        self._colours, self._ranges = colours, ranges
        self._before: tuple[int, dict[str, Tensor], npt.NDArray[np.uint8]] | None = None

    def add(
        self, stamp: int, decoded: Mapping[str, Tensor], labels: npt.NDArray[np.uint8]
    ) -> tuple[int, int]:
        """Takes a frame: decoded images, 1 x C x H x W, and labels, H x W. Returns how many of the pixels
        looked at are still since the frame before, and how many of those have kept their class."""
        height, width = labels.shape
        looked = {name: self._looked(decoded[name], height, width) for name in self._known(decoded)}
        few = labels[::STEP, ::STEP].copy()
        before, self._before = self._before, (stamp, looked, few)
        if before is None or not looked or abs(stamp - before[0]) > STALE:
            return 0, 0
        if {n: x.shape for n, x in before[1].items()} != {n: x.shape for n, x in looked.items()}:
            return 0, 0
        still = self._still(before[1], looked).cpu().numpy()
        return int(still.sum()), int((still & (before[2] == few)).sum())

    def _known(self, decoded: Mapping[str, Tensor]) -> list[str]:
        return [name for name in (*self._colours, *self._ranges) if name in decoded]

    def _looked(self, image: Tensor, height: int, width: int) -> Tensor:
        if image.shape[-2:] != (height, width):
            image = F.interpolate(image.float(), (height, width), mode="nearest-exact")
        return image[0, :, ::STEP, ::STEP].clone()

    def _still(self, before: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> Tensor:
        parts = []
        for name, image in now.items():
            if name in self._colours:
                parts.append(((image - before[name]).abs() <= COLOUR).all(0))
                continue
            one, other = before[name][0], image[0]
            # Comparisons with NaN are false.
            known = (one > 0) & (other > 0) & (one < torch.inf) & (other < torch.inf)
            allowed = (torch.minimum(one, other) * SHARE).clamp(min=METRES)
            parts.append(known & ((one - other).abs() <= allowed))
        return torch.stack(parts).all(0)
