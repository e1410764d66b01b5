"""A recording's classes and steadiness over time, as pictures."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.recordings.recording import NANOSECONDS
from asymfusion_ros.replay.records import Records

MOST = 12  # classes with a colour of their own in the picture
BINS = 400  # points of a curve at most: of a long recording each is a mean
GREY = (0.75, 0.75, 0.75)


def shares_picture(records: Records, labels: LabelSet, title: str) -> bytes:
    """A PNG: each class's share of the pixels over time, the MOST frequent ones in their colours."""
    shares = records.shares()
    order = np.argsort(-shares.mean(0))[:MOST]
    order = order[shares[:, order].max(0) > 0]
    names = [*labels.names, "unlabeled"]
    colours = [*(labels.palette[: len(labels)] / 255), np.array(GREY)]
    rows = [shares[:, index] for index in order]
    rows.append(np.clip(1 - np.sum(rows, 0), 0, 1))
    seconds, curves = _binned(_seconds(records), rows)
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.stackplot(
        seconds,
        *curves,
        labels=[*(names[index] for index in order), "the others"],
        colors=[*(tuple(colours[index]) for index in order), (0.93, 0.93, 0.93)],
        linewidth=0.4,
        edgecolor="white",
    )
    axes.set(xlabel="seconds", ylabel="share of the pixels", title=title, ylim=(0, 1))
    axes.margins(x=0)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, reverse=True)
    return _png(figure)


def consistency_picture(records: Records, title: str) -> bytes:
    """A PNG: temporal consistency from frame to frame, and how much of the view is still."""
    still = np.array([frame.still for frame in records.frames], np.float64)
    kept = np.array([frame.kept for frame in records.frames], np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = 100 * kept / still
    looked = max(1.0, float(still.max(initial=1.0)))
    seconds, (steady, visible) = _binned(_seconds(records), [share, 100 * still / looked])
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(seconds, visible, color="0.88", label="still pixels, in % of the most at once")
    dots = "." if len(seconds) < 60 else ""
    axes.plot(seconds, steady, color="tab:blue", marker=dots, label="kept their class")
    axes.set(xlabel="seconds", ylabel="% of the still pixels", title=title, ylim=(0, 101))
    axes.margins(x=0)
    axes.legend(loc="lower right")
    return _png(figure)


def _seconds(records: Records) -> npt.NDArray[np.float64]:
    times = np.array([frame.time for frame in records.frames], np.float64)
    return (times - times[0]) / NANOSECONDS


def _binned(
    seconds: npt.NDArray[np.float64], rows: Sequence[npt.NDArray[np.float64]]
) -> tuple[npt.NDArray[np.float64], list[npt.NDArray[np.float64]]]:
    """At most BINS points, each the mean of as many frames; NaN is left out."""
    if len(seconds) <= BINS:
        if len(seconds) == 1:  # a line needs two
            return np.array([seconds[0], seconds[0] + 1]), [np.repeat(row, 2) for row in rows]
        return seconds, list(rows)
    places = np.linspace(0, len(seconds), BINS + 1).astype(int)
    pairs = list(itertools.pairwise(places))

    def mean(row: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        parts = [row[start:end][np.isfinite(row[start:end])] for start, end in pairs]
        return np.array([part.mean() if len(part) else np.nan for part in parts])

    return mean(seconds), [mean(row) for row in rows]


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()
