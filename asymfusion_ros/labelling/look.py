"""What is kept of each frame while recordings are looked through: numbers, and no image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.labelling.descriptor import Descriptor, describe, distances
from asymfusion_ros.replay.frames import RecordedFrame
from asymfusion_ros.replay.inference import Segmented


@dataclass(frozen=True)
class Look:
    """A frame. recording: its place in the list of recordings. number, stamp: RecordedFrame's.

    uncertainty: 1 less the mean confidence, 0 to 1. disagreement: the mean of the modalities' (0 to 1), 0 of
    one modality. change: how far it is from the frame with which its scene began (distances). new_scene:
    whether a scene begins with it.
    """

    recording: int
    number: int
    stamp: int
    uncertainty: float
    disagreement: float
    change: float
    new_scene: bool
    descriptor: Descriptor


class Looker:
    """Looks at the frames of one recording, in order. ``scene_change``: the distance from the frame with
    which a scene began, beyond which another begins."""

    def __init__(self, recording: int, modalities: Mapping[str, Modality], scene_change: float) -> None:
        self._recording = recording
        self._modalities = modalities
        self._scene_change = scene_change
        self._began: Descriptor | None = None

    def look(self, frame: RecordedFrame, found: Segmented) -> Look:
        """``found``: with its disagreement, where there is one."""
        descriptor = describe(found.decoded, self._modalities)
        change = 0.0 if self._began is None else float(distances(self._began, descriptor[None])[0])
        new = self._began is None or change > self._scene_change
        if new:
            self._began = descriptor
        return Look(
            self._recording,
            frame.number,
            frame.stamp,
            1 - float(found.confidence.mean(dtype=np.float64)) / 255,
            0.0 if found.disagreement is None else float(found.disagreement.mean(dtype=np.float64)) / 255,
            change,
            new,
            descriptor,
        )
