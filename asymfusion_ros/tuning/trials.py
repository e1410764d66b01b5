"""Each way to run the network, timed on the same frames in turns, and its labels compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from asymfusion_ros.checkpoint.precision_check import LEAST_AGREEMENT
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_ros.data.size_text import size_of
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.tuning.tuning_file import Way

OTHER_SIZE = 0.8  # of the pixels: the agreement that is enough where the input's size is another one
AS_FAST = 1.03  # what is slower by no more than this and needs fewer threads is the better choice
Labels = npt.NDArray[np.uint8]


class Frame(NamedTuple):
    """images: as Segmenter.segment takes them. label: H x W, void 255, or None where there is none."""

    images: Mapping[str, Any]
    label: Labels | None = None


@dataclass(frozen=True)
class Trial:
    """agreement: the share of pixels with the reference's class. milliseconds: of each frame, from its bytes
    to its mask on the host; loaded: the same beside other programs, empty where there were none. mean_iou:
    with the frames' labels, 0 to 1, or None. other_size: the agreement that is enough for an input size that
    is not the checkpoint's, which gives other labels along every edge.
    """

    way: Way
    agreement: float
    milliseconds: Sequence[float]
    loaded: Sequence[float] = ()
    mean_iou: float | None = None
    other_size: float = OTHER_SIZE

    @property
    def passes(self) -> bool:
        """Whether its labels are near enough to the reference's."""
        least = self.other_size if self.way.size else LEAST_AGREEMENT[self.way.precision]
        return self.agreement >= least

    @property
    def median(self) -> float:
        """Milliseconds; beside the other programs, where there were any."""
        return statistics.median(self.loaded or self.milliseconds)


class Trials:
    """``ways``: to try. ``frames``: to try them on. ``reference``: whose labels are right.

    Making it opens all ways and compares their labels: ``agreement`` and, where frames have labels,
    ``mean_iou``, of each; ``reference_iou``: the reference's. ``progress`` wraps what takes long.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        frames: Sequence[Frame],
        reference: Segmenter,
        progress: Callable[[Sequence[Any], str], Iterable[Any]],
    ) -> None:
        self._frames, self._progress = frames, progress
        self._opened = {way: _opened(way) for way in progress(ways, "open")}
        expected = [_labels(reference, frame) for frame in progress(frames, "reference")]
        classes = len(reference.label_set)
        self.reference_iou = _mean_iou(frames, expected, classes)
        self.agreement: dict[Way, float] = {}
        self.mean_iou: dict[Way, float | None] = {}
        for way in progress(ways, "compare"):
            self._take(way)
            found = [_labels(self._opened[way], frame) for frame in frames]
            self.agreement[way] = float(np.mean([np.mean(a == b) for a, b in zip(found, expected)]))
            self.mean_iou[way] = _mean_iou(frames, found, classes)

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
            segmenter.segment(
                self._frames[0].images
            ).numpy()  # after the turn of another: its memory, its threads
            for frame in self._frames:
                began = time.perf_counter()
                segmenter.segment(frame.images).numpy()
                times[way].append(1000 * (time.perf_counter() - began))
        return times

    def _take(self, way: Way) -> None:
        """torch's number of threads is the process's."""
        torch.set_num_threads(way.threads)


def _opened(way: Way) -> Segmenter:
    made = Segmenter.from_checkpoint(way.model, way.device, way.precision, way.backend, threads=way.threads)
    if not way.size or way.backend != "torch":  # an exported file is of its size
        return made
    width, height = size_of(way.size, "size")
    return made.at_input_size(height, width)


def _labels(segmenter: Segmenter, frame: Frame) -> Labels:
    return segmenter.segment(frame.images).numpy().labels


def _mean_iou(frames: Sequence[Frame], found: Sequence[Labels], classes: int) -> float | None:
    """Over the classes in labels or predictions; None where no frame has a label."""
    counts = ConfusionMatrix(classes)
    for frame, labels in zip(frames, found, strict=True):
        if frame.label is not None:
            counts.update(torch.from_numpy(frame.label), torch.from_numpy(labels))
    return counts.scores()["mean_iou"] if counts.counts.any() else None


def best(trials: Sequence[Trial]) -> Trial | None:
    """The fastest whose labels are near enough to the reference's; of those as fast within 3 %, the one with
    the fewest threads. None where there is none."""
    passing = [trial for trial in trials if trial.passes]
    if not passing:
        return None
    fastest = min(trial.median for trial in passing)
    near = [trial for trial in passing if trial.median <= AS_FAST * fastest]
    return min(near, key=lambda trial: (trial.way.threads, trial.median))
