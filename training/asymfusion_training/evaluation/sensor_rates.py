"""How often disagreement tells a faulty sensor from a good one: rates from histograms of frames.

Cross-fitted: what is usual comes from one half of the frames, and is tried on the other, and the other way
round. The halves are the first and the second of the list, so that at most one scene lies in both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asymfusion_ros.checkpoint.usual_disagreement import UsualDisagreement

Histograms = Mapping[str, npt.NDArray[np.int64]]  # condition -> frames x 256
VIEWS = (1, 5, 10)


@dataclass(frozen=True)
class Half:
    """Of the frames. usual: in the good frames of the other half. good: their shares of disagreeing pixels.
    shares: by condition, those of this half's frames. Both in the order of the list."""

    usual: UsualDisagreement
    good: list[float]
    shares: dict[str, list[float]]


def cross_fitted(found: Histograms, good: str) -> list[Half]:
    """Both halves, the condition ``good`` being the frames as they are. Raises ValueError for fewer than two
    frames."""
    frames = len(found[good])
    if frames < 2:
        raise ValueError("halves need two frames")
    middle = frames // 2
    halves = []
    for fit, test in ((slice(middle, None), slice(middle)), (slice(middle), slice(middle, None))):
        usual = UsualDisagreement.measured([*found[good][fit]])
        tested = {name: shares(counts[test], usual.level) for name, counts in found.items()}
        halves.append(Half(usual, shares(found[good][fit], usual.level), tested))
    return halves


def shares(counts: npt.NDArray[np.int64], level: int) -> list[float]:
    """frames x 256 -> the share of each frame's pixels beyond the level."""
    beyond: list[float] = (counts[:, level + 1 :].sum(1) / counts.sum(1)).tolist()
    return beyond


def alarm_rate(
    halves: Sequence[Half], condition: str, quantile: float, views: int, own_threshold: bool = False
) -> float | None:
    """The share of windows of ``views`` successive frames whose mean share exceeds the threshold.

    That is the quantile of the other half's single good frames, as the node has it, or with ``own_threshold``
    of its windows of as many. None where a half has not so many frames.
    """
    if any(views > min(len(half.good), len(half.shares[condition])) for half in halves):
        return None
    alarms: list[bool] = []
    for half in halves:
        limit = half.usual.quantile(quantile)
        if own_threshold:
            limit = float(np.quantile(_means(half.good, views), quantile))
        alarms += [mean > limit for mean in _means(half.shares[condition], views)]
    return float(np.mean(alarms))


def _means(values: Sequence[float], views: int) -> list[float]:
    return [float(np.mean(values[first : first + views])) for first in range(len(values) - views + 1)]
