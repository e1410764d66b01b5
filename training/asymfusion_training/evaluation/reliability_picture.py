"""Whether a confidence is a probability, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from asymfusion_training.evaluation.calibration import (
    BINS,
    Counts,
    area_under_risk_coverage,
    expected_calibration_error,
    reliability,
    risk_coverage,
)
from asymfusion_training.figures import save_figure


def save_reliability(path: Path, counts: Counts, title: str) -> None:
    """Writes a PNG: the reliability diagram and the risk-coverage curve of 2 x 256 ``confidence_counts``.

    Raises UserError where it cannot be written.
    """
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    figure.suptitle(title, fontsize=10)
    left, right = figure.subplots(1, 2)

    pixels, correct, confident = reliability(counts)
    some = pixels > 0
    edges = np.arange(BINS) / BINS
    left.bar(edges, pixels / pixels.sum(), 1 / BINS, align="edge", color="0.85", label="share of the pixels")
    left.plot([0, 1], [0, 1], "--", color="0.5", linewidth=1, label="confidence = accuracy")
    left.plot(confident[some] / pixels[some], correct[some] / pixels[some], "o-", label="accuracy")
    error = 100 * expected_calibration_error(counts)
    left.set(xlabel="confidence", title=f"calibration error {error:.2f} %", xlim=(0, 1), ylim=(0, 1))
    left.legend(loc="upper left")

    coverage, risk = risk_coverage(counts)
    right.plot(100 * coverage, 100 * risk)
    right.set(
        xlabel="% of the pixels, the most confident first",
        ylabel="% of them wrong",
        title=f"area under risk-coverage {100 * area_under_risk_coverage(counts):.2f} %",
        xlim=(0, 100),
    )
    right.set_ylim(bottom=0)
    right.grid(color="0.92")
    save_figure(path, figure)
