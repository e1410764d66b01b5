"""What a difference in mean IoU is worth: a paired bootstrap over the frames.

Frames are drawn with replacement, as many as there are; both sides are scored on the same draw, each from
its confusion matrix summed over the draw; the interval holds the middle of the differences found. It takes
frames for independent: many of one scene make it too narrow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asymfusion_training.evaluation.counts import Counts, SplitCounts

RESAMPLES = 10_000
CONFIDENCE = 0.95
AT_ONCE = 1000  # resamples: bounds the memory


@dataclass(frozen=True)
class Difference:
    """Mean IoU of one minus that of another, as a fraction, and the interval that it lies in."""

    one: str
    other: str
    value: float
    low: float
    high: float

    @property
    def significant(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0 or self.high < 0

    def result(self) -> str:
        """For people: which is better, if it is."""
        if not self.significant:
            return "not significant: 0 lies inside the interval"
        return f"significant: {self.one if self.low > 0 else self.other} is better"


def paired_difference(one: tuple[str, SplitCounts], other: tuple[str, SplitCounts], seed: int) -> Difference:
    """one, other: (name, counts) over the same frames in the same order."""
    (name, ours), (other_name, theirs) = one, other
    assert len(ours.margins) == len(theirs.margins)
    frames = len(ours.margins)
    differences = [
        mean_ious(draws, ours.margins) - mean_ious(draws, theirs.margins)
        for draws in all_resamples(frames, seed)
    ]
    low, high = interval(np.concatenate(differences))
    every = np.ones((1, frames), np.int64)
    value = mean_ious(every, ours.margins)[0] - mean_ious(every, theirs.margins)[0]
    return Difference(name, other_name, float(value), low, high)


def interval(differences: npt.NDArray[np.float64]) -> tuple[float, float]:
    """(low, high) that hold the middle of what was found; a NaN counts for nothing."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(differences, [tail, 1 - tail])
    return float(low), float(high)


def all_resamples(frames: int, seed: int) -> Iterator[Counts]:
    """RESAMPLES rows in all, see ``resamples``, in parts that memory can hold."""
    rng = np.random.default_rng(seed)
    for start in range(0, RESAMPLES, AT_ONCE):
        yield resamples(frames, min(AT_ONCE, RESAMPLES - start), rng)


def resamples(frames: int, count: int, rng: np.random.Generator) -> Counts:
    """count x F: how often each frame is drawn; every row adds up to F."""
    return rng.multinomial(frames, np.full(frames, 1 / frames), size=count)


def mean_ious(draws: Counts, margins: Counts) -> npt.NDArray[np.float64]:
    """draws: N x F. margins: F x 3 x K, see SplitCounts. -> N, each over the classes that occur in the draw.

    NaN for a draw without any labelled pixel.
    """
    table = margins.reshape(len(margins), -1).astype(np.float64)
    hits, labels, predictions = (draws @ table).reshape(len(draws), 3, -1).transpose(1, 0, 2)
    union = labels + predictions - hits
    iou = np.divide(hits, union, out=np.zeros_like(union), where=union > 0)
    classes = (union > 0).sum(1)
    return np.divide(iou.sum(1), classes, out=np.full(len(draws), np.nan), where=classes > 0)
