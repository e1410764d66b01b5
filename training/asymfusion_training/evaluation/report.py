"""Scores as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from asymfusion_training.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Difference
from asymfusion_training.evaluation.calibration import area_under_risk_coverage, expected_calibration_error
from asymfusion_training.evaluation.counts import SplitCounts, SplitScores

SCORES = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iou": "mean IoU",
    "boundary_iou": "boundary IoU",
}


def output_report(counts: SplitCounts, names: Sequence[str]) -> dict[str, Any]:
    """The scores of a modality or the ensemble as fractions, and its counts of (label, prediction).

    Of each class: None where it is in neither labels nor predictions.
    """
    return {
        **counts.scores(),
        "class_iou": _by_class(counts.confusion.iou().numpy(), names),
        "class_boundary_iou": _by_class(counts.boundary_iou(), names),
        "confusion": counts.confusion.counts.tolist(),
    }


def calibration_report(scores: SplitScores, temperature: float | None) -> dict[str, float] | None:
    """Of the ensemble's confidence, as fractions; None where it was not counted."""
    counts = scores["ensemble"].confidence
    if temperature is None or not counts.any():
        return None
    return {
        "ece": expected_calibration_error(counts),
        "aurc": area_under_risk_coverage(counts),
        "temperature": temperature,
    }


def bootstrap_report(differences: Sequence[Difference], frames: int, seed: int) -> dict[str, Any]:
    """Differences in mean IoU as fractions, with how their intervals were drawn."""
    return {
        "frames": frames,
        "resamples": RESAMPLES,
        "seed": seed,
        "confidence": CONFIDENCE,
        "mean_iou": [
            {
                "one": found.one,
                "other": found.other,
                "difference": found.value,
                "low": found.low,
                "high": found.high,
                "significant": found.significant,
            }
            for found in differences
        ],
    }


def as_json(report: dict[str, Any]) -> str:
    """Indented, but each list of numbers on one line: a confusion matrix reads as one."""
    text = json.dumps(report, indent=2, allow_nan=False)
    return re.sub(r"\[\s+([\d.,\s-]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text) + "\n"


def score_table(scores: SplitScores) -> str:
    """A line for each modality and the ensemble, in percent."""
    lines = ["in %".ljust(12) + "".join(title.rjust(16) for title in SCORES.values())]
    for output, counts in scores.items():
        found = counts.scores()
        lines.append(output.ljust(12) + "".join(_percent(found[key], 16) for key in SCORES))
    return "\n".join(lines)


def absent_classes(scores: SplitScores, names: Sequence[str]) -> str:
    """A line on the classes that are predicted but in no label, with the mean IoU without them; empty where
    there are none."""
    counts = [found.confusion.counts for found in scores.values()]
    absent = [
        name
        for index, name in enumerate(names)
        if not counts[0][index].any() and any(found[:, index].any() for found in counts)
    ]
    if not absent:
        return ""
    means = [f"{output} {100 * found.confusion.mean_iou_present():.2f}" for output, found in scores.items()]
    return f"predicted, but in no label: {', '.join(absent)}; mean IoU without them: {', '.join(means)}"


def calibration_line(found: dict[str, float]) -> str:
    """``calibration_report`` for people."""
    return (
        f"confidence of the ensemble: calibration error {100 * found['ece']:.2f} %, area under risk-coverage "
        f"{100 * found['aurc']:.2f} %, temperature {found['temperature']:.3g}"
    )


def class_table(scores: SplitScores, names: Sequence[str]) -> str:
    """IoU of each class in each output; of the ensemble, boundary IoU too."""
    column = max(len("IoU in %"), *(len(name) for name in names)) + 2
    columns = [counts.confusion.iou().numpy() for counts in scores.values()]
    columns.append(scores["ensemble"].boundary_iou())
    lines = ["IoU in %".ljust(column) + "".join(title.rjust(12) for title in (*scores, "boundary"))]
    for name, *ious in zip(names, *columns):
        lines.append(name.ljust(column) + "".join(_percent(iou, 12) for iou in ious))
    return "\n".join(lines)


def difference_table(differences: Sequence[Difference], frames: int, seed: int) -> str:
    """A line for each difference, in points, with its interval and whether it is significant."""
    column = max(len(f"{found.one} - {found.other}") for found in differences) + 2
    lines = [
        f"difference in mean IoU, in points, with its {100 * CONFIDENCE:.0f} % interval "
        f"(paired bootstrap, {frames} frames, {RESAMPLES} resamples, seed {seed})"
    ]
    for found in differences:
        value, low, high = (100 * number for number in (found.value, found.low, found.high))
        name = f"{found.one} - {found.other}".ljust(column)
        lines.append(f"{name}{value:+8.2f}  [{low:+.2f}, {high:+.2f}]  {found.result()}")
    return "\n".join(lines)


def _by_class(values: np.ndarray, names: Sequence[str]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in zip(names, values)}


def _percent(value: float | None, width: int) -> str:
    return ("-" if value is None or np.isnan(value) else f"{100 * value:.2f}").rjust(width)
