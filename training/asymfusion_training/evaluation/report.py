"""Scores as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from asymfusion_training.evaluation.bootstrap import CONFIDENCE, RESAMPLES, Difference
from asymfusion_training.evaluation.tally import Tallies, Tally

SCORES = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iou": "mean IoU",
    "boundary_iou": "boundary IoU",
}


def branch_report(tally: Tally, names: Sequence[str]) -> dict[str, Any]:
    """A branch's scores as fractions, and its counts of (label, prediction).

    Of each class: None where it is in neither labels nor predictions.
    """
    return {
        **tally.scores(),
        "class_iou": _by_class(tally.confusion.iou().numpy(), names),
        "class_boundary_iou": _by_class(tally.boundary_iou(), names),
        "confusion": tally.confusion.counts.tolist(),
    }


def bootstrap_report(differences: Sequence[Difference], frames: int, seed: int) -> dict[str, Any]:
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
                "settled": found.settled,
            }
            for found in differences
        ],
    }


def as_json(report: dict[str, Any]) -> str:
    """Indented, but each list of numbers on one line: a confusion matrix reads as one."""
    text = json.dumps(report, indent=2, allow_nan=False)
    return re.sub(r"\[\s+([\d.,\s-]+?)\s+\]", lambda row: f"[{' '.join(row[1].split())}]", text) + "\n"


def score_table(tallies: Tallies) -> str:
    lines = ["in %".ljust(12) + "".join(title.rjust(16) for title in SCORES.values())]
    for branch, tally in tallies.items():
        scores = tally.scores()
        lines.append(branch.ljust(12) + "".join(_percent(scores[key], 16) for key in SCORES))
    return "\n".join(lines)


def class_table(tallies: Tallies, names: Sequence[str]) -> str:
    """IoU of each class in each branch; of the ensemble, boundary IoU too."""
    column = max(len("IoU in %"), *(len(name) for name in names)) + 2
    columns = [tally.confusion.iou().numpy() for tally in tallies.values()]
    columns.append(tallies["ensemble"].boundary_iou())
    lines = ["IoU in %".ljust(column) + "".join(title.rjust(12) for title in (*tallies, "boundary"))]
    for name, *ious in zip(names, *columns):
        lines.append(name.ljust(column) + "".join(_percent(iou, 12) for iou in ious))
    return "\n".join(lines)


def difference_table(differences: Sequence[Difference], frames: int, seed: int) -> str:
    column = max(len(f"{found.one} - {found.other}") for found in differences) + 2
    lines = [
        f"difference in mean IoU, in points, with its {100 * CONFIDENCE:.0f} % interval "
        f"(paired bootstrap, {frames} frames, {RESAMPLES} resamples, seed {seed})"
    ]
    for found in differences:
        value, low, high = (100 * number for number in (found.value, found.low, found.high))
        name = f"{found.one} - {found.other}".ljust(column)
        lines.append(f"{name}{value:+8.2f}  [{low:+.2f}, {high:+.2f}]  {found.verdict()}")
    return "\n".join(lines)


def _by_class(values: np.ndarray, names: Sequence[str]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in zip(names, values)}


def _percent(value: float | None, width: int) -> str:
    return ("-" if value is None or np.isnan(value) else f"{100 * value:.2f}").rjust(width)
