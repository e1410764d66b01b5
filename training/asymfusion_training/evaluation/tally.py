"""Counts of one frame, and what they add up to over a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import numpy.typing as npt
import torch

from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_training.evaluation.boundary import boundary_counts, boundary_iou, boundary_width

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FrameCounts:
    """One branch on one frame. confusion: K x K (label, prediction). boundary: 2 x K, intersection and union
    (zeros where boundaries are not counted). Arrays rather than tensors, which processes exchange safely."""

    confusion: Counts
    boundary: Counts


def count_frame(
    label: npt.NDArray[np.uint8], prediction: npt.NDArray[np.uint8], classes: int, ratio: float | None
) -> FrameCounts:
    """label, prediction: H x W. ratio: of the boundary's width to the diagonal, None to leave it out."""
    matrix = ConfusionMatrix(classes)
    matrix.update(torch.from_numpy(label), torch.from_numpy(prediction))
    if ratio is None:
        boundary = np.zeros((2, classes), np.int64)
    else:
        height, width = label.shape
        boundary = boundary_counts(label, prediction, classes, boundary_width((height, width), ratio))
    return FrameCounts(matrix.counts.numpy(), boundary)


class Tally:
    """One branch over a split.

    ``confusion``: of all frames. ``boundary``: 2 x K likewise. ``margins``: of each frame, 3 x K: hits,
    pixels of the label and pixels of the prediction, which is all that mean IoU needs.
    """

    def __init__(self, classes: int) -> None:
        self.confusion = ConfusionMatrix(classes)
        self.boundary: Counts = np.zeros((2, classes), np.int64)
        self.margins: list[Counts] = []

    def add(self, frame: FrameCounts) -> None:
        self.confusion.counts += torch.from_numpy(frame.confusion)
        self.boundary += frame.boundary
        self.margins.append(
            np.stack([frame.confusion.diagonal(), frame.confusion.sum(1), frame.confusion.sum(0)])
        )

    def boundary_iou(self) -> npt.NDArray[np.float64]:
        return boundary_iou(self.boundary)

    def scores(self) -> dict[str, float | None]:
        """Those of ConfusionMatrix, and boundary IoU: the mean over the classes that have a boundary in
        labels or predictions, None where none has."""
        ious = self.boundary_iou()
        known = ious[~np.isnan(ious)]
        return {**self.confusion.scores(), "boundary_iou": float(known.mean()) if len(known) else None}


Tallies = dict[str, Tally]  # by branch, and of the ensemble


def summed(frames: Iterable[Mapping[str, FrameCounts]]) -> Tallies:
    tallies: Tallies = {}
    for scores in frames:
        for branch, counts in scores.items():
            tallies.setdefault(branch, Tally(len(counts.confusion))).add(counts)
    return tallies


def merged(parts: Sequence[Tallies]) -> Tallies:
    """Of frames dealt out in turn: the first to the first part, the second to the second, ..."""
    whole: Tallies = {}
    for branch, first in parts[0].items():
        tallies = [part[branch] for part in parts]
        whole[branch] = Tally(first.boundary.shape[1])
        whole[branch].confusion.counts += sum(tally.confusion.counts for tally in tallies)
        whole[branch].boundary += sum(tally.boundary for tally in tallies)
        rounds = zip_longest(*(tally.margins for tally in tallies))
        whole[branch].margins = [margins for turn in rounds for margins in turn if margins is not None]
    return whole
