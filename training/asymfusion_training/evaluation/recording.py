"""Scores of a recording's frames: `asymfusion replay` counts with it, as `asymfusion evaluate` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_training.evaluation.calibration import LEVELS, confidence_counts
from asymfusion_training.evaluation.counts import SplitCounts, SplitScores, count_frame
from asymfusion_training.evaluation.report import (
    absent_classes,
    calibration_line,
    calibration_report,
    output_report,
    score_table,
)

BOUNDARY_RATIO = 0.02  # as evaluate has it where nothing is said

Counts = npt.NDArray[np.int64]


class RecordingCounter:
    """See asymfusion_ros.replay.scores.Counter.

    ``modalities``: those that the recording has, in the network's order. A frame without one of them counts
    for the others and the ensemble.
    """

    def __init__(self, checkpoint: ModelDescription, modalities: Sequence[str]) -> None:
        self._outputs = (*modalities, "ensemble")
        self._names = checkpoint.labels.names
        self._temperature = checkpoint.temperature(modalities)
        self._begin()

    def add(
        self,
        label: npt.NDArray[np.uint8],
        predictions: Mapping[str, npt.NDArray[np.uint8]],
        confidence: npt.NDArray[np.uint8] | None,
    ) -> None:
        """See Counter."""
        classes = len(self._names)
        for index, output in enumerate(self._outputs):
            if output in predictions:
                found = count_frame(label, predictions[output], classes, BOUNDARY_RATIO)
                self._confusion[index] += found.confusion
                self._boundary[index] += found.boundary
        if confidence is not None:
            self._confidence += confidence_counts(label, predictions["ensemble"], confidence)

    def take(self) -> dict[str, Counts]:
        """See Counter."""
        found = {"confusion": self._confusion, "boundary": self._boundary, "confidence": self._confidence}
        self._begin()
        return found

    def report(self, parts: Sequence[Mapping[str, Counts]]) -> tuple[str, dict[str, Any]]:
        """See Counter."""
        scores = self._scores(parts)
        if not scores["ensemble"].confusion.counts.any():
            return "no score: all pixels of the labels are void", {"branches": {}, "calibration": None}
        confidence = calibration_report(scores, self._temperature)
        lines = [score_table(scores), absent_classes(scores, self._names)]
        if confidence is not None:
            lines.append(calibration_line(confidence))
        branches = {output: output_report(counts, self._names) for output, counts in scores.items()}
        return "\n".join(filter(None, lines)), {"branches": branches, "calibration": confidence}

    def _begin(self) -> None:
        outputs, classes = len(self._outputs), len(self._names)
        self._confusion: Counts = np.zeros((outputs, classes, classes), np.int64)
        self._boundary: Counts = np.zeros((outputs, 2, classes), np.int64)
        self._confidence: Counts = np.zeros((2, LEVELS), np.int64)

    def _scores(self, parts: Sequence[Mapping[str, Counts]]) -> SplitScores:
        summed = {name: sum(part[name] for part in parts) for name in ("confusion", "boundary", "confidence")}
        classes = len(self._names)
        scores = {}
        for index, output in enumerate(self._outputs):
            confusion = ConfusionMatrix(classes)
            confusion.counts += torch.from_numpy(np.asarray(summed["confusion"])[index])
            confidence = np.asarray(summed["confidence"]) if output == "ensemble" else np.zeros((2, LEVELS))
            margins = np.zeros((0, 3, classes), np.int64)  # of single frames, which nothing is asked of
            boundary = np.asarray(summed["boundary"])[index]
            scores[output] = SplitCounts(confusion, boundary, margins, confidence.astype(np.int64))
        return scores
