"""Each way to run the network, timed on the same frames in turns, and its labels compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from asymfusion_ros.checkpoint.precision_check import LEAST_AGREEMENT
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.tuning.tuning_file import Way

AS_FAST = 1.03  # what is slower by no more than this and needs fewer threads is the better choice
Images = Mapping[str, Any]  # of a frame, as Segmenter.segment takes them


@dataclass(frozen=True)
class Trial:
    """agreement: the share of pixels with the reference's class. milliseconds: of each frame, from its bytes
    to its mask on the host; loaded: the same beside other programs, empty where there were none."""

    way: Way
    agreement: float
    milliseconds: Sequence[float]
    loaded: Sequence[float] = ()

    @property
    def passes(self) -> bool:
        """Whether its labels are the reference's."""
        return self.agreement >= LEAST_AGREEMENT[self.way.precision]

    @property
    def median(self) -> float:
        """Milliseconds; beside the other programs, where there were any."""
        return statistics.median(self.loaded or self.milliseconds)


class Trials:
    """``ways``: to try. ``frames``: to try them on. ``reference``: whose labels are right.

    Making it opens all ways and compares their labels. ``progress`` wraps what takes long.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        frames: Sequence[Images],
        reference: Segmenter,
        progress: Callable[[Sequence[Any], str], Iterable[Any]],
    ) -> None:
        self._frames, self._progress = frames, progress
        self._opened = {way: _opened(way) for way in progress(ways, "open")}
        expected = [reference.segment(frame).numpy().labels for frame in progress(frames, "reference")]
        self.agreement: dict[Way, float] = {}
        for way in progress(ways, "compare"):
            self._take(way)
            found = [self._opened[way].segment(frame).numpy().labels for frame in frames]
            self.agreement[way] = float(np.mean([np.mean(a == b) for a, b in zip(found, expected)]))

    def times(self, rounds: int, seed: int = 0) -> dict[Way, list[float]]:
        """Milliseconds of every frame, ``rounds`` times, by each way. The ways take turns in shuffled order,
        so that what else the machine does meets all of them."""
        rng = np.random.default_rng(seed)
        ways = list(self._opened)
        times: dict[Way, list[float]] = {way: [] for way in ways}
        turns = [ways[i] for _ in range(rounds) for i in rng.permutation(len(ways))]
        for way in self._progress(turns, "time"):
            self._take(way)
            segmenter = self._opened[way]
            segmenter.segment(self._frames[0]).numpy()  # after the turn of another: its memory, its threads
            for frame in self._frames:
                began = time.perf_counter()
                segmenter.segment(frame).numpy()
                times[way].append(1000 * (time.perf_counter() - began))
        return times

    def _take(self, way: Way) -> None:
        """torch's number of threads is the process's."""
        torch.set_num_threads(way.threads)


def _opened(way: Way) -> Segmenter:
    return Segmenter.from_checkpoint(way.model, way.device, way.precision, way.backend, threads=way.threads)


def best(trials: Sequence[Trial]) -> Trial | None:
    """The fastest that gives the reference's labels; of those as fast within 3 %, the one with the fewest
    threads. None where none does."""
    passing = [trial for trial in trials if trial.passes]
    if not passing:
        return None
    fastest = min(trial.median for trial in passing)
    near = [trial for trial in passing if trial.median <= AS_FAST * fastest]
    return min(near, key=lambda trial: (trial.way.threads, trial.median))
