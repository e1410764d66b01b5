"""A report of `asymfusion bench` as a picture: where a frame's time goes, and how it grows."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asymfusion_ros.benchmark.text import SWEEPS, sweep_label
from asymfusion_ros.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def report_picture(report: Mapping[str, Any]) -> bytes:
    """A PNG. Raises ConfigError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError("a plot needs matplotlib: pip install matplotlib") from error
    conditions = {"alone": report}
    if "loaded" in report:
        conditions[f"beside {report['loaded']['processes']} busy processes"] = report["loaded"]
    there = [name for name in SWEEPS if name in report]
    columns = min(3, 1 + len(there))
    rows = -(-(1 + len(there)) // columns)
    figure = Figure(figsize=(5.5 * columns, 4 * rows), layout="constrained")
    first, *others = figure.subplots(rows, columns, squeeze=False).flat
    _stages(first, conditions)
    for axes, name in zip(others, there):
        _sweep(axes, name, conditions)
    for axes in others[len(there) :]:
        axes.set_axis_off()
    figure.suptitle(
        f"{report['checkpoint']}, {report['backend']} {report['precision']}, {report['threads']} threads, "
        f"{report['device']}"
    )
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=100)
    return made.getvalue()


def _stages(axes: Axes, conditions: Mapping[str, Mapping[str, Any]]) -> None:
    names = list(conditions)
    left = [0.0] * len(names)
    stages = [stage for stage in conditions[names[0]]["milliseconds"] if stage != "total"]
    for stage in stages:
        values = [figures["milliseconds"][stage]["p50"] for figures in conditions.values()]
        axes.barh(names, values, left=left, label=stage)
        left = [start + value for start, value in zip(left, values)]
    for place, figures in enumerate(conditions.values()):
        if "plain_eager" in figures:
            plain = figures["plain_eager"]["p50"]
            axes.plot(
                [plain, plain], [place - 0.4, place + 0.4], "k--", label=None if place else "plain eager"
            )
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds, medians")
    axes.set_title("from a frame's bytes to its mask")
    axes.legend()


def _sweep(axes: Axes, name: str, conditions: Mapping[str, Mapping[str, Any]]) -> None:
    heading, _ = SWEEPS[name]
    for label, figures in conditions.items():
        rows = figures[name]
        _with_percentile(axes, [sweep_label(name, row) for row in rows], rows, label)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(heading)
    axes.set_ylabel("milliseconds: p50, and up to p95")
    axes.legend()


def _with_percentile(axes: Axes, labels: Sequence[str], rows: Sequence[Mapping[str, Any]], name: str) -> None:
    medians = [row["milliseconds"]["total"]["p50"] for row in rows]
    beyond = [row["milliseconds"]["total"]["p95"] - median for row, median in zip(rows, medians)]
    axes.errorbar(labels, medians, yerr=[[0.0] * len(rows), beyond], marker="o", capsize=3, label=name)
