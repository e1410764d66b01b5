"""Segmentation scores from one confusion matrix over a whole split."""

from __future__ import annotations

import torch
from torch import Tensor

from asymfusion_ros.data.labels import VOID


class ConfusionMatrix:
    """Counts of (label, prediction); void pixels of the label are left out."""

    def __init__(self, classes: int) -> None:
        self.counts = torch.zeros(classes, classes, dtype=torch.int64)

    def update(self, labels: Tensor, predictions: Tensor) -> None:
        """Two integer tensors of one shape, predictions within 0..K-1, labels also VOID."""
        classes = self.counts.shape[0]
        known = labels != VOID
        pairs = labels[known].to(torch.int64) * classes + predictions[known].to(torch.int64)
        self.counts += torch.bincount(pairs, minlength=classes * classes).view(classes, classes).cpu()

    def iou(self) -> Tensor:
        """Intersection over union of each class; NaN for one that is in neither labels nor predictions."""
        counts = self.counts.double()
        hits = counts.diagonal()
        return hits / (counts.sum(0) + counts.sum(1) - hits)

    def mean_iou_present(self) -> float:
        """The mean IoU over the classes in the labels: without those that are predicted only, which count 0
        in the standard one."""
        return float(self.iou()[self.counts.sum(1) > 0].mean())

    def scores(self) -> dict[str, float]:
        """Pixel accuracy; mean accuracy over classes in the labels; mean IoU over classes in either."""
        counts = self.counts.double()
        hits = counts.diagonal()
        return {
            "pixel_accuracy": float(hits.sum() / counts.sum()),
            "mean_accuracy": float((hits / counts.sum(1)).nanmean()),
            "mean_iou": float(self.iou().nanmean()),
        }
