"""What a frame looks like in a few hundred bytes, to tell near-duplicates and changes of scene."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.modality import Modality

ROWS, COLUMNS = 6, 8
UNKNOWN = 255  # of a cell less than half of which was measured
STEPS = 254
FARTHEST = 10.0  # metres, where the modality's normalisation has no maximum

Descriptor = npt.NDArray[np.uint8]


def describe(decoded: Mapping[str, Tensor], modalities: Mapping[str, Modality]) -> Descriptor:
    """Decoded images, 1 x C x H x W in their physical unit -> D uint8: the mean of each cell of a ROWS x
    COLUMNS grid, 0 to 254, of each channel of each of ``modalities``, UNKNOWN where it was not measured.

    Colours go from 0 to 255 levels, distances from 0 to the modality's maximum, scalars over four of their
    standard deviations.
    """
    parts = []
    for name, image in decoded.items():
        modality = modalities[name]
        valid = modality.valid(image).float()
        values = torch.where(modality.valid(image), _scaled(image.float(), modality), 0.0).clamp(0, 1)
        share = F.adaptive_avg_pool2d(valid, (ROWS, COLUMNS))
        mean = F.adaptive_avg_pool2d(values, (ROWS, COLUMNS)) / share.clamp(min=0.5)
        cells = torch.where(share >= 0.5, (mean * STEPS).round(), UNKNOWN)
        parts.append(cells.to(torch.uint8).reshape(-1).cpu().numpy())
    return np.concatenate(parts)


def distances(one: Descriptor, others: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """How far D is from each of N x D, 0 to 1: the mean absolute difference of the cells that both know, of
    which those of depth count as much as those of one colour; 1 where they know none in common."""
    known = (one != UNKNOWN) & (others != UNKNOWN)
    apart = np.abs(one.astype(np.int16) - others.astype(np.int16)) * known
    count = known.sum(1)
    return np.where(count, apart.sum(1) / (np.maximum(count, 1) * STEPS), 1.0)


def _scaled(image: Tensor, modality: Modality) -> Tensor:
    if modality.kind == "colour":
        return image / 255
    stats = modality.stats
    if modality.kind == "range":
        return image / (stats.maximum if math.isfinite(stats.maximum) else FARTHEST)
    return (image - stats.mean[0]) / (4 * stats.std[0]) + 0.5
