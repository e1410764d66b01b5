"""Which frames are worth labelling.

A frame's score is the mean of three numbers from 0 to 1: where its uncertainty stands among all frames, where
its disagreement does, and 1 if a scene begins with it. Frames are taken from the highest score down, but for
those that look like one that was taken already, until there are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from asymfusion_ros.labelling.descriptor import distances
from asymfusion_ros.labelling.look import Look

LOW_CONFIDENCE, DISAGREE, NEW_SCENE = "low confidence", "modalities disagree", "change of scene"
ANOTHER_VIEW = "another view"  # of a frame that stands out by nothing but that no other looks like it
STANDS_OUT = 0.75  # among all frames: the highest quarter


@dataclass(frozen=True)
class Chosen:
    """A frame that is worth it. score: 0 to 1. reasons: at least one."""

    look: Look
    score: float
    reasons: tuple[str, ...]


def choose(looks: Sequence[Look], count: int, min_distance: float) -> list[Chosen]:
    """At most ``count`` frames, no two of them nearer than ``min_distance`` (descriptor.distances), the best
    first. The same for the same frames, always."""
    if not looks:
        return []
    uncertain = standing([look.uncertainty for look in looks])
    apart = standing([look.disagreement for look in looks])
    scenes = np.array([look.new_scene for look in looks], np.float64)
    scores = (uncertain + apart + scenes) / 3
    descriptors = np.stack([look.descriptor for look in looks])
    nearest = np.ones(len(looks))
    chosen: list[Chosen] = []
    for index in np.argsort(-scores, kind="stable"):
        if len(chosen) == count:
            break
        if chosen and nearest[index] < min_distance:
            continue
        why = [
            reason
            for reason, holds in (
                (LOW_CONFIDENCE, uncertain[index] >= STANDS_OUT),
                (DISAGREE, apart[index] >= STANDS_OUT),
                (NEW_SCENE, looks[index].new_scene),
            )
            if holds
        ]
        chosen.append(Chosen(looks[index], float(scores[index]), tuple(why or [ANOTHER_VIEW])))
        nearest = np.minimum(nearest, distances(descriptors[index], descriptors))
    return chosen


def standing(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """The share of the other values that each is larger than, 0 to 1; of equal ones half count."""
    array = np.array(values, np.float64)
    ordered = np.sort(array)
    smaller = np.searchsorted(ordered, array, "left")
    not_larger = np.searchsorted(ordered, array, "right")
    if len(array) == 1 or ordered[0] == ordered[-1]:
        return np.zeros(len(array))  # nothing stands out
    return (smaller + not_larger - 1) / (2 * (len(array) - 1))
