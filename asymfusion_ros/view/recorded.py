"""A recording's frames and their masks, to be shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.segmenter import Segmenter, reference_name
from asymfusion_ros.errors import UserError
from asymfusion_ros.replay.folder_source import FolderSource, file_name
from asymfusion_ros.replay.frames import SKIPPED, AheadFrames, Frames, open_source
from asymfusion_ros.replay.inference import segment
from asymfusion_ros.replay.labels import LabelSource, open_labels
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.source import Source
from asymfusion_ros.view.shown import Shown


@dataclass(frozen=True)
class ViewJob:
    """A recording to show.

    path: a bag, or a folder of images; split, rate: FolderSource's. labels_dir: of labels; None for those of
    a folder in the folder format, if it has some. every: only each such frame is segmented. points: whether
    a cloud is wanted.
    """

    path: Path
    read: ReadOptions = field(default_factory=ReadOptions)
    labels_dir: Path | None = None
    split: str | None = None
    rate: float = 30.0
    every: int = 1
    points: bool = True


class RecordedFrames:
    """The frames of ``job`` as ``segmenter`` sees them, in order; to be iterated once. ``say`` gets lines for
    the user.

    source: the recording. modalities: what its images are, in the network's order. notes: the lines.
    """

    def __init__(self, segmenter: Segmenter, job: ViewJob, say: Callable[[str], None]) -> None:
        """Raises UserError."""
        self._segmenter = segmenter
        self._job = job
        self.notes = Notes(say)
        spec = segmenter.checkpoint.input_spec
        known = [spec.modality(name) for name in segmenter.modalities]
        self.source: Source = open_source(job.path, known, job.read, self.notes, job.split, job.rate)
        self.modalities: Mapping[str, Modality] = {m.name: m for m in known if m.name in self.source.topics}
        self._labels = self._open_labels()

    def __iter__(self) -> Iterator[Shown]:
        job, made = self._job, self._frames()
        try:
            with made:
                for frame in made:
                    begun = time.perf_counter()
                    found = segment(self._segmenter, frame, disagreement=True)
                    seconds = time.perf_counter() - begun
                    truth = None
                    if self._labels is not None:
                        name = file_name(self.source, reference_name(frame.images), frame.stamp)
                        truth = self._labels.of(frame, name)
                    yield Shown(
                        frame.stamp,
                        frame.images,
                        {name: image.cpu() for name, image in found.decoded.items()},
                        found.labels,
                        found.confidence,
                        found.disagreement,
                        frame.geometry,
                        seconds,
                        truth,
                    )
        finally:
            if self._labels is not None:
                self._labels.close()
        if not made.tally.frames:
            raise UserError(f"{job.path}: {made.tally.never_paired()}")
        if made.tally.failed == made.tally.frames:
            raise UserError(f"{job.path}: {next(one for one in self.notes.lines if one.startswith(SKIPPED))}")

    def _frames(self) -> AheadFrames:
        job, modalities = self._job, list(self.modalities.values())
        # Without depth images, or cameras of which anything can be known, there is nothing to say of points.
        located = bool(self.source.infos) and any(m.kind == "range" for m in modalities)
        points = job.points and located
        every = job.every
        frames = Frames(
            self.source, modalities, job.read, self.notes, points, wanted=lambda number: number % every == 0
        )
        return AheadFrames(frames)

    def _open_labels(self) -> LabelSource | None:
        job, classes = self._job, self._segmenter.label_set
        folder = job.labels_dir
        if folder is None and job.read.labels is None and isinstance(self.source, FolderSource):
            folder = self._own_labels(self.source)
        return open_labels(self.source, list(self.modalities.values()), classes, job.path, job.read, folder)

    def _own_labels(self, source: FolderSource) -> Path | None:
        """The folder of a data set's labels, where they are of the checkpoint's classes."""
        data, classes = source.data_set, self._segmenter.label_set
        if data is None or not (data.root / "label").is_dir():
            return None
        if data.labels.names != classes.names:
            self.notes(
                f"the labels of {data.root} are not shown: they are of {data.labels.name}, and the "
                f"checkpoint has {classes.name}"
            )
            return None
        return data.root / "label"
