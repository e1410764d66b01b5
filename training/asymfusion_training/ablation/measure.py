"""What the rows of a table are compared by, and the columns that it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_training.evaluation.bootstrap import mean_ious

OUTPUT = "ensemble"  # whose scores are compared
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Column:
    """A score as a table shows it: its title, and what the stored number is multiplied by."""

    title: str
    factor: float = 1.0


@dataclass(frozen=True)
class Measure:
    """compared: the column that rows are compared by; larger: whether more of it is better. printed: the
    fields of Printed that the paper's table has, by title; printed_score: the one that orders its rows.
    resampled: (draws N x F, an outcome's margins) -> N values of ``compared``, as stored. note: on the table,
    unit: of a difference."""

    columns: Mapping[str, Column]
    compared: str
    larger: bool
    printed: Mapping[str, str]
    printed_score: str
    resampled: Callable[[Numbers, Numbers], npt.NDArray[np.float64]]
    note: str
    unit: str

    @property
    def title(self) -> str:
        """Of the column that rows are compared by."""
        return self.columns[self.compared].title

    @property
    def sign(self) -> float:
        """Times the column's factor: a row that is better then has more."""
        return self.columns[self.compared].factor * (1 if self.larger else -1)


MEAN_IOU = Measure(
    {
        "pixel_accuracy": Column("pixel acc.", 100),
        "mean_accuracy": Column("mean acc.", 100),
        "mean_iou": Column("mean IoU", 100),
    },
    "mean_iou",
    True,
    {
        "pixel_accuracy": "pixel acc.",
        "mean_accuracy": "mean acc.",
        "mean_iou": "mean IoU",
        "parameters": "parameters",
    },
    "mean_iou",
    mean_ious,
    "In percent; parameters in millions",
    "points",
)


def _mean_l1(draws: Numbers, values: Numbers) -> npt.NDArray[np.float64]:
    found: npt.NDArray[np.float64] = draws @ values[:, 0] / len(values)
    return found


def image_measure(inception: tuple[str, ...] = ()) -> Measure:
    """By L1, which each frame has; with columns of FID and KID, which only a whole split has."""
    more = {"fid": Column("FID"), "kid": Column("KID x 1000", 1000)}
    return Measure(
        {
            "l1": Column("L1", 100),
            "psnr": Column("PSNR"),
            "ssim": Column("SSIM", 100),
            **{name: more[name] for name in inception},
        },
        "l1",
        False,
        {"fid": "FID"},
        "fid",
        _mean_l1,
        "L1 in percent of the range of values, SSIM in percent, PSNR in dB; parameters in millions",
        "points",
    )
