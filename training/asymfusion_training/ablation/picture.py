"""A table as a picture: the rows' mean IoU, and what the paper claims with what was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from asymfusion_training.ablation.report import Report, shown_scores
from asymfusion_training.figures import save_figure

COLOURS = {"holds": "tab:green", "reversed": "tab:red", "not significant": "0.5"}


def save_picture(path: Path, report: Report) -> None:
    """Left: every seed of every row that is done, and their mean. Right: each ordering's difference with its
    interval, green where it holds, red where it is reversed, and the paper's as a cross."""
    measure = report.table.measure
    rows = {key: row for key, row in report.table.rows.items() if report.outcomes.get(key)}
    height = 1.5 + 0.32 * max(len(rows), len(report.orderings), 1)
    figure = Figure(figsize=(13, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, key in enumerate(rows):
        values = shown_scores(measure, report.outcomes[key], measure.compared)
        left.plot(values, [place] * len(values), "o", color="tab:blue", alpha=0.5, markersize=5)
        left.plot(np.mean(values), place, "|", color="black", markersize=14, markeredgewidth=2)
    left.set_yticks(range(len(rows)), [row.title for row in rows.values()])
    left.set(xlabel=f"{measure.title}, %\n(a dot a seed, the bar their mean)")
    for place, found in enumerate(report.orderings):
        colour = COLOURS[found.result]
        right.plot([found.low, found.high], [place, place], color=colour, linewidth=3, solid_capstyle="butt")
        right.plot(found.difference, place, "o", color=colour)
        if found.printed is not None:
            right.plot(found.printed, place, "x", color="black", markersize=7)
    right.axvline(0, color="black", linewidth=0.8)
    right.set_yticks(range(len(report.orderings)), [found.claim.text for found in report.orderings])
    right.set(
        xlabel=f"how much better in {measure.title}, {measure.unit}\n(bar: 95 % interval; cross: the paper's)"
    )
    for axes, places in ((left, len(rows)), (right, len(report.orderings))):
        axes.set_ylim(max(places, 1) - 0.5, -0.5)  # the first on top, none at the edge
        axes.grid(axis="x", alpha=0.3)
        axes.tick_params(axis="y", labelsize=8)
    save_figure(path, figure)
