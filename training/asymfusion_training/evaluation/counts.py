"""Counts of one frame, and what they add up to over a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_training.evaluation.boundary import boundary_counts, boundary_iou, boundary_width
from asymfusion_training.evaluation.calibration import LEVELS

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FrameCounts:
    """One output of the network (a modality, or the ensemble) on one frame.

    confusion: K x K (label, prediction). boundary: 2 x K, intersection and union (zeros where boundaries are
    not counted). confidence: 2 x 256, see ``calibration.confidence_counts``, or None where it is not counted.
    """

    confusion: Counts
    boundary: Counts
    confidence: Counts | None = None

    @property
    def margins(self) -> Counts:
        """3 x K: hits, pixels of the label and of the prediction, which is all that mean IoU needs."""
        return np.stack([self.confusion.diagonal(), self.confusion.sum(1), self.confusion.sum(0)])


def count_frame(
    label: npt.NDArray[np.uint8],
    prediction: npt.NDArray[np.uint8],
    classes: int,
    ratio: float | None,
    confidence: Counts | None = None,
) -> FrameCounts:
    """label, prediction: H x W. ratio: of the boundary's width to the diagonal, None to leave it out.
    confidence: FrameCounts'."""
    matrix = ConfusionMatrix(classes)
    matrix.update(torch.from_numpy(label), torch.from_numpy(prediction))
    if ratio is None:
        boundary = np.zeros((2, classes), np.int64)
    else:
        height, width = label.shape
        boundary = boundary_counts(label, prediction, classes, boundary_width((height, width), ratio))
    return FrameCounts(matrix.counts.numpy(), boundary, confidence)


@dataclass(frozen=True)
class SplitCounts:
    """One output of the network over a split. boundary: 2 x K, see FrameCounts. margins: F x 3 x K, of each
    frame. confidence: 2 x 256, see FrameCounts; zeros where it was not counted."""

    confusion: ConfusionMatrix
    boundary: Counts
    margins: Counts
    confidence: Counts

    def boundary_iou(self) -> npt.NDArray[np.float64]:
        """K: NaN for a class that has a boundary in neither labels nor predictions."""
        return boundary_iou(self.boundary)

    def scores(self) -> dict[str, float | None]:
        """Those of ConfusionMatrix, its mean IoU over the classes in the labels, and boundary IoU: the mean
        over the classes that have a boundary in labels or predictions, None where none has."""
        ious = self.boundary_iou()
        known = ious[~np.isnan(ious)]
        return {
            **self.confusion.scores(),
            "mean_iou_present": self.confusion.mean_iou_present(),
            "boundary_iou": float(known.mean()) if len(known) else None,
        }


SplitScores = dict[str, SplitCounts]  # by modality, and of the ensemble


class SplitSum:
    """Adds up frames into one array for each output, which processes can add up in turn.

    Each process fills the rows of the frames that it scored; all other numbers are 0.
    """

    def __init__(self, outputs: Sequence[str], frames: int, classes: int) -> None:
        """frames: of the whole split."""
        self.outputs, self.frames, self.classes = tuple(outputs), frames, classes
        self.table = np.zeros((len(outputs), classes + 2 + 3 * frames, classes), np.int64)
        self.confidence = np.zeros((len(outputs), 2, LEVELS), np.int64)

    def add(self, frame: int, counts: Mapping[str, FrameCounts]) -> None:
        """The counts of frame number ``frame`` of the split."""
        for table, confidence, output in zip(self.table, self.confidence, self.outputs):
            found = counts[output]
            table[: self.classes] += found.confusion
            table[self.classes : self.classes + 2] += found.boundary
            start = self.classes + 2 + 3 * frame
            table[start : start + 3] = found.margins
            if found.confidence is not None:
                confidence += found.confidence

    def scores(self) -> SplitScores:
        """The split's, once the tables of all processes are added up."""
        scores = {}
        for table, confidence, output in zip(self.table, self.confidence, self.outputs):
            confusion = ConfusionMatrix(self.classes)
            confusion.counts += torch.from_numpy(table[: self.classes])
            boundary = table[self.classes : self.classes + 2]
            margins = table[self.classes + 2 :].reshape(self.frames, 3, self.classes)
            scores[output] = SplitCounts(confusion, boundary, margins, confidence)
        return scores


def summed(outputs: Sequence[str], classes: int, frames: Iterable[Mapping[str, FrameCounts]]) -> SplitScores:
    """Of one process that scored all frames."""
    counts = list(frames)
    total = SplitSum(outputs, len(counts), classes)
    for number, found in enumerate(counts):
        total.add(number, found)
    return total.scores()
