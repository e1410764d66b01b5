"""A recording through the network: its masks as a bag, and what there is to say of them.

Threads: one reads and decodes (frames.py), one or several run the network (streams.py), one writes and
counts.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from tqdm import tqdm

from asymfusion_ros import __version__
from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.data.labels import VOID
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.data.pictures import picture
from asymfusion_ros.data.text_file import parse_json, read_text
from asymfusion_ros.engine.segmenter import Segmenter, reference_name
from asymfusion_ros.errors import UserError
from asymfusion_ros.replay.consistency import Consistency
from asymfusion_ros.replay.exports import EXPORTS, Export
from asymfusion_ros.replay.folder_source import file_name
from asymfusion_ros.replay.frames import SKIPPED, RecordedFrame, open_source, read_frames
from asymfusion_ros.replay.in_turn import InTurn
from asymfusion_ros.replay.inference import Segmented, decoded_images, segment
from asymfusion_ros.replay.job import Job, Places
from asymfusion_ros.replay.labels import LabelSource, open_labels
from asymfusion_ros.replay.lock import alone
from asymfusion_ros.replay.mask_bag import MaskBag
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.parts import LARGEST, Part, Parts, check_settings
from asymfusion_ros.replay.plots import consistency_picture, shares_picture
from asymfusion_ros.replay.records import FrameRecord, Records, table
from asymfusion_ros.replay.scores import Counter
from asymfusion_ros.replay.source import Source
from asymfusion_ros.replay.streams import in_streams
from asymfusion_ros.replay.summary import summary_of, text

FRAMES = 150  # of a part: what a run that is killed does again at most
WAITING = 8  # frames that may wait to be written
SUMMARY, COUNTS = "summary.json", "counts.npz"

Scores = Mapping[str, npt.NDArray[np.int64]]


@dataclass(frozen=True)
class Replayed:
    """summary: ``folder``'s summary.json. scores: what was counted of labels. text: for people."""

    name: str
    folder: Path
    summary: Mapping[str, Any]
    scores: list[Scores]
    text: str


class Replay:
    """``segmenters`` run ``job``, one or several of the same network, each a frame at a time. ``counter``:
    makes one of the frames with labels, given the recording's modalities. ``say`` gets lines for the user;
    ``progress``: whether there is a bar."""

    def __init__(
        self,
        segmenters: Segmenter | Sequence[Segmenter],
        job: Job,
        counter: Callable[[Sequence[str]], Counter] | None = None,
        say: Callable[[str], None] = lambda line: None,
        progress: bool = False,
    ) -> None:
        self._segmenters = [segmenters] if isinstance(segmenters, Segmenter) else list(segmenters)
        self._segmenter = segmenter = self._segmenters[0]
        self._job = job
        self._make_counter = counter
        self._counter: Counter | None = None
        self._progress = progress
        self._notes = Notes(say)
        spec = segmenter.checkpoint.input_spec
        self._modalities: dict[str, Modality] = {n: spec.modality(n) for n in segmenter.modalities}

    def run(self) -> Replayed:
        """Replays, or goes on. Raises UserError."""
        job = self._job
        source = self._source()
        with alone(job.output / f".{source.name}.lock", job.patience):
            return self._run(source)

    def _run(self, source: Source) -> Replayed:
        job = self._job
        places = Places.of(job, source.name)
        if places.finished.exists():
            found = finished(places.finished)
            check_settings(found.summary["settings"], job.settings(source.topics), places.finished)
            return found
        if job.scored and self._make_counter is not None:
            self._counter = self._make_counter(list(source.topics))
        parts = Parts(places.working / "parts")
        began = not places.working.exists()
        try:
            parts.open(job.settings(source.topics))
            labels = self._labels(source)
            run = _Run(self._segmenters, source, job, places, parts, labels, self._counter, self._notes)
            tally = run.frames(self._modalities, self._progress)
            whole = parts.read()
            if not whole:
                skipped = [line for line in self._notes.lines if line.startswith(SKIPPED)]
                raise UserError(f"{job.path}: {skipped[0] if skipped else tally.never_paired()}")
        except BaseException:
            if began and not parts.count:  # nothing that could be gone on with
                for folder in (places.working, *(() if job.resume else places.exports.values())):
                    shutil.rmtree(folder, ignore_errors=True)
            raise
        tally.failed = tally.frames - sum(len(part.frames) for part in whole)
        with written(parts, places.working):
            run.finish([part.exported for part in whole])
            return self._put_together(source, places, whole, tally, parts)

    def _source(self) -> Source:
        job, modalities = self._job, list(self._modalities.values())
        return open_source(job.path, modalities, job.read, self._notes, job.split, job.rate)

    def _labels(self, source: Source) -> LabelSource | None:
        job, modalities = self._job, list(self._modalities.values())
        return open_labels(source, modalities, self._segmenter.label_set, job.path, job.read, job.labels_dir)

    def _put_together(
        self, source: Source, places: Places, whole: Sequence[Part], tally: Any, parts: Parts
    ) -> Replayed:
        working, labels = places.working, self._segmenter.label_set
        records = Records([frame for part in whole for frame in part.frames.frames])
        found = summary_of(records, sum(part.seconds for part in whole), labels)
        scores = [part.scores for part in whole] if self._counter is not None else []
        table_text, report = "", None
        if self._counter is not None:
            table_text, report = self._counter.report(list(scores))
            summed = {f"{number}_{name}": a for number, one in enumerate(scores) for name, a in one.items()}
            np.savez_compressed(working / COUNTS, **summed)  # type: ignore[arg-type]
        write_whole(working / "frames.csv", table(records, labels.names).encode())
        title = source.name
        write_whole(working / "class_shares.png", shares_picture(records, labels, title))
        write_whole(working / "temporal_consistency.png", consistency_picture(records, title))
        notes = list(dict.fromkeys([line for part in whole for line in part.notes] + self._notes.lines))
        files = [
            f"{places.finished / name}"
            for name in ("masks", SUMMARY, "frames.csv", "class_shares.png", "temporal_consistency.png")
        ]
        files += [str(folder) for folder in places.exports.values()]
        summary = {
            "recording": source.title,
            "checkpoint": self._job.checkpoint,
            "device": str(self._segmenter.device),
            "precision": self._segmenter.backend.precision,
            "frames_at_once": len(self._segmenters),
            "labels": labels.name,
            "topics": dict(source.topics),
            "slop": self._job.read.slop,
            "lost": source.lost,
            **tally.to_dict(),
            **found,
            "notes": notes,
            "scores": report,
            "settings": self._job.settings(source.topics),
            "asymfusion_ros": __version__,
        }
        shown = text(source.name, tally, found, table_text, files)
        content = {**summary, "text": shown}
        write_whole(working / SUMMARY, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
        os.replace(working, places.finished)
        _tidy(places.finished)
        return Replayed(source.name, places.finished, summary, scores, shown)


class _Run:
    """The frames of one recording that are not done yet."""

    def __init__(
        self,
        segmenters: Sequence[Segmenter],
        source: Source,
        job: Job,
        places: Places,
        parts: Parts,
        labels: LabelSource | None,
        counter: Counter | None,
        notes: Notes,
    ) -> None:
        self._segmenters = segmenters
        self._segmenter = segmenter = segmenters[0]
        self._source = source
        self._job = job
        self._places = places
        self._parts = parts
        self._labels = labels
        self._counter = counter
        self._notes = notes
        self._said = 0
        self._exports: dict[str, Export] = {
            name: EXPORTS[name](folder, segmenter.label_set) for name, folder in places.exports.items()
        }
        self._bag = MaskBag(places.working / "masks", segmenter.label_set, parts.count)
        self._records = Records()
        self._steady = Consistency((), ())
        self._exported: dict[str, list[dict[str, Any]]] = {name: [] for name in self._exports}
        self._last: npt.NDArray[np.uint8] = np.zeros((0, 0), np.uint8)
        self._began = time.perf_counter()

    def frames(self, modalities: Mapping[str, Modality], progress: bool) -> Any:
        """Replays them; the tally of all."""
        kinds = {
            kind: tuple(n for n, m in modalities.items() if m.kind == kind) for kind in ("colour", "range")
        }
        self._steady = Consistency(kinds["colour"], kinds["range"])
        before = Part.read(self._parts.path(self._parts.count - 1)) if self._parts.count else None
        done = -1 if before is None else before.frames.frames[-1].number
        options = self._job.read
        reading = read_frames(
            self._source, list(modalities.values()), options, self._notes, skip=max(0, done)
        )
        bar = tqdm(
            total=min(self._source.images.values()),
            desc=self._source.name,
            unit="frame",
            disable=None if progress else True,
            leave=False,
        )
        try:
            with written(self._parts, self._places.working), bar, InTurn(WAITING) as turn:
                with reading:
                    fresh = self._fresh(reading, done, before, turn)
                    for frame, (found, seconds) in in_streams(self._segmenters, fresh, self._segment):
                        bar.update(frame.number + 1 - bar.n)
                        turn.do(partial(self._take, frame, found, seconds, modalities))
                turn.do(self._end_part)
                turn.wait()
        finally:
            self._bag.abandon()
            if self._labels is not None:
                self._labels.close()
        return reading.tally

    def _fresh(
        self, reading: Iterable[RecordedFrame], done: int, before: Part | None, turn: InTurn
    ) -> Iterator[RecordedFrame]:
        """The frames after number ``done``, which ``before`` ended with."""
        for frame in reading:
            if frame.number > done:
                yield frame
                continue
            assert before is not None
            decoded = decoded_images(self._segmenter, frame)
            turn.do(partial(self._look, frame.stamp, decoded, before.last))

    def _segment(self, segmenter: Segmenter, frame: RecordedFrame) -> tuple[Segmented, float]:
        """With the seconds that it took."""
        begun = time.perf_counter()
        found = segment(segmenter, frame, branches=self._counter is not None)
        return found, time.perf_counter() - begun

    def finish(self, exported: Sequence[Mapping[str, Sequence[dict[str, Any]]]]) -> None:
        """Ends the exports, from what they returned for each frame."""
        for name, export in self._exports.items():
            export.finish(one for part in exported for one in part[name])

    def _look(self, stamp: int, decoded: Mapping[str, Tensor], labels: npt.NDArray[np.uint8]) -> None:
        """At a frame that is done, for the one after it."""
        self._steady.add(stamp, decoded, labels)

    def _take(
        self,
        frame: RecordedFrame,
        found: Segmented,
        seconds: float,
        modalities: Mapping[str, Modality],
    ) -> None:
        """Writes and counts a frame. Called in the writing thread, as everything that follows."""
        base = reference_name(frame.images)
        name = file_name(self._source, base, frame.stamp)
        self._bag.add(frame, found.labels, found.confidence, self._source if self._job.originals else None)
        shown = picture(frame.images[base], modalities[base]) if self._exports else None
        for format, export in self._exports.items():
            assert shown is not None
            self._exported[format].append(export.add(frame.number, name, shown, found.labels))
        label = None if self._labels is None else self._labels.of(frame, name)
        if label is not None and self._counter is not None:
            whole = len(found.decoded) == len(self._source.topics)
            self._counter.add(label, found.branches, found.confidence if whole else None)
        classes = len(self._segmenter.label_set)
        values = np.bincount(found.labels.reshape(-1), minlength=256)
        counts = np.append(values[:classes], values[VOID]).astype(np.int32)
        available = "+".join(found.decoded)
        self._records.frames.append(
            FrameRecord(
                frame.number,
                frame.stamp,
                frame.time,
                available,
                seconds,
                counts,
                *self._steady.add(frame.stamp, found.decoded, found.labels),
                label is not None,
                name,
            )
        )
        self._last = found.labels
        if len(self._records) == FRAMES:
            self._end_part()

    def _end_part(self) -> None:
        if not len(self._records):
            return
        self._bag.finish()
        now = time.perf_counter()
        lines = list(self._notes.lines)
        scores = {} if self._counter is None else self._counter.take()
        part = Part(self._records, scores, self._exported, lines[self._said :], now - self._began, self._last)
        self._parts.add(part)
        self._records, self._began, self._said = Records(), now, len(lines)
        self._exported = {name: [] for name in self._exports}


def finished(folder: Path) -> Replayed:
    """A replay that has come to its end before. Raises UserError where its files are damaged."""
    _tidy(folder)
    path = folder / SUMMARY
    try:
        summary = parse_json(read_text(path, 64 * LARGEST))
        shown = summary.pop("text")
        summary["settings"]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserError(f"{path} is damaged: remove {folder}") from error
    scores: dict[str, dict[str, npt.NDArray[np.int64]]] = {}
    if (folder / COUNTS).is_file():
        with np.load(folder / COUNTS, allow_pickle=False) as arrays:
            for key in arrays.files:
                number, _, name = key.partition("_")
                scores.setdefault(number, {})[name] = arrays[key]
    return Replayed(folder.name, folder, summary, list(scores.values()), shown)


@contextmanager
def written(parts: Parts, folder: Path) -> Iterator[None]:
    """Adds to an error of writing what is whole. Raises UserError."""
    try:
        yield
    except (OSError, UserError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError):
            raise
        reason = cause.strerror or str(cause)
        whole = f"what is whole can be read in {folder / 'masks'}" if parts.count else "nothing is whole yet"
        raise UserError(
            f"cannot write {cause.filename or folder}: {reason}; {whole}: make room, and go on with --resume"
        ) from error


def _tidy(folder: Path) -> None:
    """Removes what only a replay that goes on needs."""
    Parts(folder / "parts").remove()
    for path in (folder / "masks").glob(".masks_*.yaml"):
        path.unlink(missing_ok=True)
