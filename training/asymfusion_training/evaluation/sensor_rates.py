"""How often disagreement tells a faulty sensor from a good one: rates from histograms of frames.

Cross-fitted: what is usual comes from one half of the frames, and is tried on the other, and the other way
round. The halves are the first and the second of the list, so that no scene lies in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from asymfusion_ros.checkpoint.usual_disagreement import UsualDisagreement

Histograms = Mapping[str, npt.NDArray[np.int64]]  # condition -> frames x 256
VIEWS = (1, 5, 10)


def cross_fitted(found: Histograms, good: str) -> list[tuple[UsualDisagreement, dict[str, list[float]]]]:
    """For each half: what is usual in the ``good`` frames of the other, and by condition the share of
    disagreeing pixels of its own frames, in their order. Raises ValueError for fewer than two frames."""
    frames = len(found[good])
    if frames < 2:
        raise ValueError("halves need two frames")
    half = frames // 2
    folds = [(slice(half, None), slice(half)), (slice(half), slice(half, None))]
    return [
        (
            usual := UsualDisagreement.measured([*found[good][fit]]),
            {name: shares(counts[test], usual.level) for name, counts in found.items()},
        )
        for fit, test in folds
    ]


def shares(counts: npt.NDArray[np.int64], level: int) -> list[float]:
    """frames x 256 -> the share of each frame's pixels beyond the level."""
    beyond: list[float] = (counts[:, level + 1 :].sum(1) / counts.sum(1)).tolist()
    return beyond


def alarm_rate(
    halves: Iterable[tuple[UsualDisagreement, dict[str, list[float]]]],
    condition: str,
    quantile: float,
    views: int,
) -> float | None:
    """The share of windows of ``views`` successive frames in which the mean share exceeds the quantile of the
    single good frames of the other half. None where no half has so many frames."""
    alarms = [
        float(np.mean(values[condition][first : first + views])) > usual.quantile(quantile)
        for usual, values in halves
        for first in range(len(values[condition]) - views + 1)
    ]
    return float(np.mean(alarms)) if alarms else None
