"""What is to be replayed, and where what comes of it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.packaged import is_packaged
from asymfusion_ros.replay.options import ReadOptions

PARTIAL = ".partial"


def from_the_root(checkpoint: str) -> str:
    """A checkpoint's path from the root; a packaged one keeps its name."""
    return checkpoint if is_packaged(checkpoint) else str(Path(checkpoint).absolute())


@dataclass(frozen=True)
class Job:
    """A recording to replay.

    path: a bag, or a folder of images; split, rate: FolderSource's. output: the folder in which its own is
    made, called after it; exports: the folders of other formats (EXPORTS), by format, likewise. checkpoint,
    precision: what it is segmented with, for those who compare. originals: whether the bag of masks holds the
    recorded images too. labels_dir: of labels, or None. resume: go on with what a run that was killed has
    left, and leave what is finished. patience: seconds to wait for another process that replays the same.
    """

    path: Path
    output: Path
    read: ReadOptions = field(default_factory=ReadOptions)
    checkpoint: str = "default"
    precision: str = "auto"
    originals: bool = False
    exports: Mapping[str, Path] = field(default_factory=dict)
    labels_dir: Path | None = None
    split: str | None = None
    rate: float = 30.0
    resume: bool = False
    patience: float = 0.0

    @property
    def scored(self) -> bool:
        """Whether there are labels."""
        return self.labels_dir is not None or self.read.labels is not None

    def settings(self, topics: Mapping[str, str]) -> dict[str, Any]:
        """What must be the same for a run that goes on with another. ``topics``: those in use."""
        read = self.read
        return {
            "recording": self.path.name,
            "checkpoint": from_the_root(self.checkpoint),
            "precision": self.precision,
            "topics": dict(topics),
            "labels": read.labels or (str(self.labels_dir.absolute()) if self.labels_dir else None),
            "slop": read.slop,
            "queue_size": read.queue_size,
            "missing_after": read.missing_after,
            "rectified": read.rectified,
            "depth_to_rgb": "tf" if read.depth_to_rgb is None else str(read.depth_to_rgb),
            "seconds": read.seconds,
            "split": self.split,
            "rate": self.rate,
            "originals": self.originals,
            "exports": {name: str(folder.absolute()) for name, folder in self.exports.items()},
        }


@dataclass(frozen=True)
class Places:
    """The folders of one recording: ``working`` becomes ``finished`` in the end."""

    working: Path
    finished: Path
    exports: Mapping[str, Path]

    @classmethod
    def of(cls, job: Job, name: str) -> Places:
        """Raises ConfigError where something is there that would be written over."""
        finished = job.output / name
        places = cls(
            finished.with_name(f"{name}{PARTIAL}"),
            finished,
            {format: folder / name for format, folder in job.exports.items()},
        )
        if job.resume:
            return places
        if places.working.exists():
            raise ConfigError(
                f"{places.working} is what a replay has left that did not end: --resume goes on with it, or "
                "remove it"
            )
        for folder in (finished, *places.exports.values()):
            if folder.exists():
                raise ConfigError(f"{folder} exists: name another folder, remove it, or --resume to keep it")
        return places
