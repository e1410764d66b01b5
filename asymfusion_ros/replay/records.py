"""What is kept of each replayed frame: the numbers from which the summary and the plots are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class FrameRecord:
    """number, stamp, time: RecordedFrame's. modalities: the available ones, joined by +. seconds: from taking
    the frame up until its mask was on the host. counts: pixels of each class, and last of none (255), K + 1.
    still, kept: see Consistency.add. labelled: whether it was scored. name: of its image files.
    """

    number: int
    stamp: int
    time: int
    modalities: str
    seconds: float
    counts: npt.NDArray[np.int32]
    still: int
    kept: int
    labelled: bool
    name: str


@dataclass
class Records:
    """Those of a recording, or of a part of it, in order."""

    frames: list[FrameRecord] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.frames)

    def shares(self) -> npt.NDArray[np.float64]:
        """F x (K + 1): the share of each class, and of none, in each frame's pixels."""
        counts = np.array([frame.counts for frame in self.frames], np.float64)
        return counts / np.maximum(counts.sum(1, keepdims=True), 1)

    def consistency(self) -> float | None:
        """Over all frames; None where no pixel was still."""
        still = sum(frame.still for frame in self.frames)
        return sum(frame.kept for frame in self.frames) / still if still else None

    def to_arrays(self) -> Arrays:
        """As a file holds them."""
        frames = self.frames
        return {
            "number": np.array([frame.number for frame in frames], np.int64),
            "stamp": np.array([frame.stamp for frame in frames], np.int64),
            "time": np.array([frame.time for frame in frames], np.int64),
            "modalities": np.array([frame.modalities for frame in frames], np.str_),
            "seconds": np.array([frame.seconds for frame in frames], np.float64),
            "counts": np.array([frame.counts for frame in frames], np.int32),
            "still": np.array([frame.still for frame in frames], np.int64),
            "kept": np.array([frame.kept for frame in frames], np.int64),
            "labelled": np.array([frame.labelled for frame in frames], np.bool_),
            "name": np.array([frame.name for frame in frames], np.str_),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Records:
        """Those of ``to_arrays``."""
        columns = [arrays[name].tolist() for name in ("number", "stamp", "time", "modalities", "seconds")]
        more = [arrays[name].tolist() for name in ("still", "kept", "labelled", "name")]
        rows = zip(*columns, arrays["counts"], *more, strict=True)
        return cls([FrameRecord(*row) for row in rows])


def table(records: Records, names: Sequence[str]) -> str:
    """A line of CSV for each frame: when, how long, how steady, and each class's share of its pixels."""
    known = [*names, "unlabeled"]
    head = ["frame", "stamp", "modalities", "milliseconds", "still", "kept"]
    lines = [",".join([*head, *(name.replace(",", ";") for name in known)])]
    for frame, shares in zip(records.frames, records.shares()):
        values = [
            str(frame.number),
            f"{frame.stamp // 10**9}.{frame.stamp % 10**9:09d}",
            frame.modalities,
            f"{1000 * frame.seconds:.2f}",
            str(frame.still),
            str(frame.kept),
            *(f"{share:.6f}" for share in shares),
        ]
        lines.append(",".join(values))
    return "\n".join(lines) + "\n"
