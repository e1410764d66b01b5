"""The study of sensor faults as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from asymfusion_training.figures import save_figure


def save_sensor_picture(path: Path, report: Mapping[str, Any]) -> None:
    """Writes a PNG of what ``sensor_study.study`` gives: each frame's share by condition, and detection over
    false alarms of single frames. Raises UserError where it cannot be written."""
    figure = Figure(figsize=(15, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    shares = {name: 100 * np.array(values) for name, values in report["shares"].items()}
    rng = np.random.default_rng(0)
    for row, (name, values) in enumerate(shares.items()):
        colour = "tab:blue" if name in report["harmless"] else "tab:red"
        height = len(shares) - row + rng.uniform(-0.3, 0.3, len(values))
        left.plot(values, height, ".", color=colour, markersize=3, alpha=0.6)
    left.set_yticks(range(len(shares), 0, -1), list(shares))
    for half in report["halves"]:
        left.axvline(100 * half["threshold"], color="0.4", linewidth=1, linestyle="--")
    left.set(
        xlabel="% of the frame's pixels that disagree beyond the usual level",
        title="one point a frame (red: a fault); dashed: the alarm's thresholds",
    )
    good = shares[report["harmless"][0]]
    limits = np.unique(np.concatenate([[-1.0], *shares.values()]))
    false = [100 * float((good > limit).mean()) for limit in limits]
    faults = {name: values for name, values in shares.items() if name not in report["harmless"]}
    for colour, (name, values) in zip(colormaps["tab20"](np.arange(20)), faults.items()):
        right.plot(
            false, [100 * float((values > limit).mean()) for limit in limits], color=colour, label=name
        )
    right.set(
        xlabel="% of the good frames with an alarm",
        ylabel="% of the faulty frames with an alarm",
        title="single frames, every threshold",
        xlim=(0, 50),
        ylim=(0, 101),
    )
    right.grid(color="0.92")
    figure.legend(*right.get_legend_handles_labels(), fontsize=8, loc="outside right center")
    save_figure(path, figure)
