"""Counts of one frame, and what they add up to over a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_training.scoring.boundary import boundary_counts, boundary_iou, boundary_width

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

    def scores(self) -> dict[str, float]:
        """Those of ConfusionMatrix, and boundary IoU, the mean over classes that have any."""
        return {**self.confusion.scores(), "boundary_iou": float(np.nanmean(self.boundary_iou()))}
