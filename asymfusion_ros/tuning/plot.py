"""The times of the ways that were tried, as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.tuning.trials import Trial


def times_picture(trials: Sequence[Trial], load: int) -> bytes:
    """A PNG: median and 95th percentile of each, the fastest at the top. Raises ConfigError without
    matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError("a plot needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(8, 1 + 0.35 * len(trials)), layout="constrained")
    axes = figure.subplots()
    kinds = [("alone", [trial.milliseconds for trial in trials])]
    if load:
        kinds.append((f"beside {load} busy processes", [trial.loaded for trial in trials]))
    height = 0.8 / len(kinds)
    for number, (label, times) in enumerate(kinds):
        at = np.arange(len(trials)) + (number - (len(kinds) - 1) / 2) * height
        medians = [np.percentile(values, 50) for values in times]
        beyond = [np.percentile(values, 95) - median for values, median in zip(times, medians)]
        axes.barh(at, medians, height, xerr=[np.zeros(len(beyond)), beyond], label=label)
    names = [
        f"{trial.way.backend} {trial.way.precision}, {trial.way.threads} threads"
        + (f", {trial.way.size}" if trial.way.size else "")
        + (" (GPU)" if trial.way.device == "cuda" else "")
        + ("" if trial.passes else ", other labels")
        for trial in trials
    ]
    axes.set_yticks(range(len(trials)), names)
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds from a frame's bytes to its mask\nmedian, and up to the 95th percentile")
    axes.legend()
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=100)
    return made.getvalue()
