"""A confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_training.figures import save_figure

CELL = 0.3  # inches
WRITTEN = 0.005  # a share below this rounds to 0 %: its cell stays empty


def save_confusion(path: Path, matrix: ConfusionMatrix, labels: LabelSet, title: str) -> None:
    """Writes a PNG: a row for each class of the label, with the shares of its pixels' predictions in percent.

    A class that no label has is a grey row. Raises UserError where it cannot be written.
    """
    save_figure(path, _drawn(row_shares(matrix), labels, title), dpi=120)


def row_shares(matrix: ConfusionMatrix) -> np.ndarray:
    """K x K float64; NaN in the rows of classes that no label has."""
    counts = matrix.counts.numpy().astype(np.float64)
    total = counts.sum(1, keepdims=True)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)


def _drawn(shares: np.ndarray, labels: LabelSet, title: str) -> Figure:
    side = CELL * len(labels) + 2.5
    figure = Figure(figsize=(side + 0.5, side), layout="constrained")
    axes = figure.add_subplot()
    axes.set_facecolor("0.85")
    image = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100, interpolation="nearest")
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels.names, rotation=90, fontsize=8)
    axes.set_yticks(ticks, labels.names, fontsize=8)
    axes.set_xticks(np.arange(len(labels)) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels)) - 0.5, minor=True)
    axes.grid(which="minor", color="0.92", linewidth=0.4)
    axes.tick_params(which="minor", length=0)
    for row, column in zip(*np.nonzero(np.nan_to_num(shares) >= WRITTEN)):
        share = shares[row, column]
        colour = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", fontsize=6, color=colour)
    axes.set(xlabel="predicted", ylabel="label", title=title)
    figure.colorbar(image, ax=axes, label="% of the label's pixels", fraction=0.03, pad=0.01)
    return figure
