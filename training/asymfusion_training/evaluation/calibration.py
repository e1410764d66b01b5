"""Whether a confidence is a probability: calibration error, risk over coverage, and the fitted temperature.

Confidences are the engine's own, whole numbers of 0 to 255, so a table of 2 x 256 counts holds everything,
and tables of frames add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.labels import VOID

LEVELS = 256
BINS = 15  # as in Guo et al. 2017
PIXELS = 1_000_000  # that a temperature is fitted to
LOG_RANGE = (math.log(0.2), math.log(5.0))
Counts = npt.NDArray[np.int64]


def confidence_counts(
    labels: npt.NDArray[np.uint8], predictions: npt.NDArray[np.uint8], confidence: npt.NDArray[np.uint8]
) -> Counts:
    """H x W each -> 2 x 256: the labelled pixels of each confidence that are wrong, and that are right."""
    known = labels != VOID
    right = (labels == predictions)[known].astype(np.int64)
    return np.bincount(right * LEVELS + confidence[known], minlength=2 * LEVELS).reshape(2, LEVELS)


def expected_calibration_error(counts: Counts, bins: int = BINS) -> float:
    """Mean over the pixels of |accuracy - mean confidence| in equal bins of confidence; 0 to 1.

    Raises ValueError where there is no pixel.
    """
    total = counts.sum()
    if total == 0:
        raise ValueError("no labelled pixel")
    _, right, confident = reliability(counts, bins)
    return float(np.abs(right - confident).sum() / total)


def reliability(counts: Counts, bins: int = BINS) -> npt.NDArray[np.float64]:
    """3 x bins, in equal bins of confidence: pixels, those that are right, and the sum of confidences."""
    level = np.arange(LEVELS) / (LEVELS - 1)
    place = np.minimum((level * bins).astype(np.int64), bins - 1)
    pixels = counts.sum(0)
    return np.stack([np.bincount(place, weights, bins) for weights in (pixels, counts[1], pixels * level)])


def risk_coverage(counts: Counts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(coverage, risk): for each threshold on the confidence, highest first, the share of the labelled pixels
    that pass it and the share of those that are wrong. Thresholds that no pixel passes are left out."""
    passing = np.cumsum(counts[:, ::-1], axis=1)
    pixels = passing.sum(0)
    some = pixels > 0
    return pixels[some] / counts.sum(), passing[0][some] / pixels[some]


def area_under_risk_coverage(counts: Counts) -> float:
    """The mean risk over all coverages, a step a threshold: lower is better, 0 to 1."""
    coverage, risk = risk_coverage(counts)
    return float((np.diff(coverage, prepend=0.0) * risk).sum())


class TemperatureFit:
    """Gathers logits and labels of frames, and finds the temperature of least cross entropy.

    Of each frame as many pixels are drawn as keep the whole at about a million.
    """

    def __init__(self, frames: int, seed: int = 0) -> None:
        self._each = max(1, PIXELS // max(frames, 1))
        self._random = torch.Generator().manual_seed(seed)
        self._logits: list[Tensor] = []
        self._labels: list[Tensor] = []

    def add(self, logits: Tensor, label: npt.NDArray[np.uint8]) -> None:
        """logits: K x h x w, the ensemble's at the decoder's resolution. label: H x W, void left out."""
        small = F.interpolate(
            torch.from_numpy(label)[None, None].float(), logits.shape[-2:], mode="nearest-exact"
        )
        target = small.flatten().to(torch.int64)
        known = (target != VOID).nonzero().flatten()
        drawn = known[torch.randperm(len(known), generator=self._random)[: self._each]]
        self._logits.append(logits.detach().float().cpu().flatten(1).t()[drawn])
        self._labels.append(target[drawn])

    def temperature(self) -> float:
        """1 where nothing was gathered. Within 0.2 to 5."""
        if not any(len(part) for part in self._labels):
            return 1.0
        logits, labels = torch.cat(self._logits), torch.cat(self._labels)
        low, high = LOG_RANGE
        # The loss over log temperature has one minimum: golden sections find it.
        ratio = (math.sqrt(5) - 1) / 2
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        at_a, at_b = _cross_entropy(logits, labels, a), _cross_entropy(logits, labels, b)
        while high - low > 1e-3:
            if at_a < at_b:
                high, b, at_b = b, a, at_a
                a = high - ratio * (high - low)
                at_a = _cross_entropy(logits, labels, a)
            else:
                low, a, at_a = a, b, at_b
                b = low + ratio * (high - low)
                at_b = _cross_entropy(logits, labels, b)
        return math.exp((low + high) / 2)


def _cross_entropy(logits: Tensor, labels: Tensor, log_temperature: float) -> float:
    return float(F.cross_entropy(logits / math.exp(log_temperature), labels))


def summed(tables: Iterable[Counts]) -> Counts:
    """The table of all frames."""
    return np.sum([*tables], axis=0, dtype=np.int64).reshape(2, LEVELS)
