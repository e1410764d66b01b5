"""From recordings to a folder of frames worth labelling.

The recordings are read twice: once to look at every frame, of which only numbers are kept, and once for the
images of the frames that were chosen.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from asymfusion_ros import __version__
from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.colouring import png
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.data.pictures import picture
from asymfusion_ros.engine.segmenter import Segmenter, reference_name
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_ros.labelling.cvat import CvatWriter, check_names
from asymfusion_ros.labelling.label_studio import LabelStudioWriter
from asymfusion_ros.labelling.look import Look, Looker
from asymfusion_ros.labelling.selection import Chosen, choose
from asymfusion_ros.labelling.sheet import Sheet
from asymfusion_ros.labelling.stored import description, pre_label, stored_image
from asymfusion_ros.replay.frames import SKIPPED, AheadFrames, Frames, RecordedFrame, open_source
from asymfusion_ros.replay.inference import segment
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.source import Source

FORMATS = ("cvat", "label_studio")
TABLE, SHEET = "selection.csv", "contact_sheet.jpg"
NUMBERS = ("score", "uncertainty", "disagreement", "change")
COLUMNS = ("frame", "split", "recording", "number", "stamp", *NUMBERS, "reasons")


@dataclass(frozen=True)
class LabelJob:
    """paths: of bags, or folders of images; split, rate: FolderSource's. output: the folder to make. count:
    of frames, of all recordings together. every: only each such frame is looked at. min_distance: choose's;
    scene_change: Looker's. min_confidence: pre_label's. val_share: of each recording's chosen frames, its
    last ones, that go into val. formats: of the tools to make import files for. image_url: where Label Studio
    finds the images; None for its local files, below the folder that ``output`` lies in.
    """

    paths: Sequence[Path]
    output: Path
    read: ReadOptions = field(default_factory=ReadOptions)
    checkpoint: str = "default"
    count: int = 50
    every: int = 1
    min_distance: float = 0.04
    scene_change: float = 0.12
    min_confidence: float = 0.3
    val_share: float = 0.2
    formats: Sequence[str] = FORMATS
    image_url: str | None = None
    split: str | None = None
    rate: float = 30.0


def check_output(job: LabelJob) -> Path:
    """The folder to work in, which becomes ``job.output``. Raises ConfigError where either exists."""
    if job.output.exists():
        raise ConfigError(f"{job.output} exists: name another folder, or remove it")
    working = job.output.with_name(f"{job.output.name}.partial")
    if working.exists():
        raise ConfigError(f"{working} is what a run has left that did not end: remove it")
    return working


def recording_names(paths: Sequence[Path]) -> list[str]:
    """What frames of each are called after: letters, digits, _ and -, as CVAT takes what follows a dot for
    the file's ending. Raises ConfigError where two are alike."""
    stems = [path.stem if path.is_file() else path.resolve().name for path in paths]
    names = [re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:100] or "recording" for stem in stems]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"two recordings are called {twice}: label them into different folders")
    return names


class Labelling:
    """``segmenter`` runs ``job``. ``say`` gets lines for the user; ``progress``: whether there are bars."""

    def __init__(
        self,
        segmenter: Segmenter,
        job: LabelJob,
        say: Callable[[str], None] = lambda line: None,
        progress: bool = False,
    ) -> None:
        self._segmenter = segmenter
        self._job = job
        self._notes = Notes(say)
        self._progress = progress
        spec = segmenter.checkpoint.input_spec
        self._modalities: dict[str, Modality] = {n: spec.modality(n) for n in segmenter.modalities}
        self._incomplete = 0

    def run(self) -> str:
        """Makes the folder; a few lines of what is in it. Raises UserError."""
        job = self._job
        working = check_output(job)
        names = recording_names(job.paths)
        if "cvat" in job.formats:
            check_names(self._segmenter.label_set)
        sources = [self._open(path) for path in job.paths]
        modalities = self._same_modalities(sources)
        make_folder(working)  # known to be possible before hours of work
        try:
            looks = self._look_through(sources, modalities)
            chosen = choose(looks, job.count, job.min_distance)
            try:
                files = self._write(working, sources, names, chosen, modalities)
                os.replace(working, job.output)
            except OSError as error:
                place = error.filename or working
                raise UserError(
                    f"cannot write {place}: {error.strerror or error}; nothing is kept"
                ) from error
        except BaseException:
            shutil.rmtree(working, ignore_errors=True)
            raise
        return self._summary(looks, chosen, files)

    def _open(self, path: Path) -> Source:
        job, modalities = self._job, list(self._modalities.values())
        return open_source(path, modalities, job.read, self._notes, job.split, job.rate)

    def _same_modalities(self, sources: Sequence[Source]) -> dict[str, Modality]:
        first = sources[0]
        for source in sources[1:]:
            if set(source.topics) != set(first.topics):
                raise UserError(
                    f"{first.name} has {' and '.join(first.topics)}, but {source.name} has "
                    f"{' and '.join(source.topics)}: label them into different folders"
                )
        return {name: self._modalities[name] for name in first.topics}

    def _frames(self, source: Source, wanted: Callable[[int], bool]) -> AheadFrames:
        modalities = list(self._modalities.values())
        return AheadFrames(Frames(source, modalities, self._job.read, self._notes, wanted=wanted))

    def _look_through(self, sources: Sequence[Source], modalities: Mapping[str, Modality]) -> list[Look]:
        looks: list[Look] = []
        for index, source in enumerate(sources):
            looker, before = Looker(index, modalities, self._job.scene_change), len(looks)
            bar = self._bar(min(source.images.values()), f"look {source.name}")
            frames = self._frames(source, lambda number: number % self._job.every == 0)
            with bar, frames:
                for frame in frames:
                    bar.update(frame.number + 1 - bar.n)
                    found = segment(self._segmenter, frame, disagreement=True)
                    if set(found.decoded) != set(modalities):  # a folder's frame has all of its images
                        self._incomplete += 1
                        continue
                    looks.append(looker.look(frame, found))
            if len(looks) == before:
                why = "no frame has an image of every topic"
                if not frames.tally.frames:
                    why = frames.tally.never_paired()
                elif frames.tally.failed:
                    why = next(line for line in self._notes.lines if line.startswith(SKIPPED))
                raise UserError(f"{self._job.paths[index]}: {why}")
        return looks

    def _write(
        self,
        root: Path,
        sources: Sequence[Source],
        names: Sequence[str],
        chosen: Sequence[Chosen],
        modalities: Mapping[str, Modality],
    ) -> list[str]:
        """All files; what to tell of them."""
        job, labels = self._job, self._segmenter.label_set
        base = reference_name(modalities)
        url = job.image_url or f"/data/local-files/?d={job.output.resolve().name}/{base}/"
        version = f"{Path(job.checkpoint).name} (asymfusion_ros {__version__})"
        cvat = CvatWriter(root / "cvat", labels) if "cvat" in job.formats else None
        studio = None
        if "label_studio" in job.formats:
            studio = LabelStudioWriter(root / "label_studio", labels, url, version)
        sheet = Sheet(labels)
        written: list[tuple[str, int, Chosen]] = []
        bar = self._bar(len(chosen), "write")
        with bar:
            for index, source in enumerate(sources):
                wanted = {one.look.number: one for one in chosen if one.look.recording == index}
                if not wanted:
                    continue
                with self._frames(source, wanted.__contains__) as frames:
                    for frame in frames:
                        one = wanted[frame.number]
                        name = f"{names[index]}_{frame.number:06d}"
                        self._frame(root, name, one, frame, modalities, sheet, cvat, studio)
                        written.append((name, index, one))
                        bar.update()
        splits = divided([(name, index) for name, index, _ in written], job.val_share)
        for split, listed in splits.items():
            write_whole(root / f"{split}.txt", "".join(f"{name}\n" for name in listed).encode())
        write_whole(root / TABLE, _table(written, sources, splits).encode())
        sheet.save(root / SHEET, f"{job.output.name}: {len(written)} frames worth labelling")
        for writer in (cvat, studio):
            if writer is not None:
                writer.finish()
        text = description(job.output.resolve().name, labels, modalities)
        write_whole(root / "dataset.yaml", text.encode())
        return [f"{split} {len(listed)}" for split, listed in splits.items()]

    def _frame(
        self,
        root: Path,
        name: str,
        chosen: Chosen,
        frame: RecordedFrame,
        modalities: Mapping[str, Modality],
        sheet: Sheet,
        cvat: CvatWriter | None,
        studio: LabelStudioWriter | None,
    ) -> None:
        found = segment(self._segmenter, frame)
        size = (found.labels.shape[0], found.labels.shape[1])
        label = pre_label(found.labels, found.confidence, self._job.min_confidence)
        depth = None
        for modality in modalities.values():
            stored = stored_image(found.decoded[modality.name], modality, size)
            _put(root / modality.name / f"{name}.png", png(stored))
            if modality.kind == "range":
                depth = np.where(stored == 0, np.nan, stored * modality.unit).astype(np.float32)
        _put(root / "label" / f"{name}.png", png(label))
        base = reference_name(frame.images)
        sheet.add(name, chosen, picture(frame.images[base], modalities[base]), depth, label)
        if cvat is not None:
            cvat.add(name, label)
        if studio is not None:
            studio.add(name, label, 1 - chosen.look.uncertainty)

    def _bar(self, total: int, what: str) -> tqdm:
        off = None if self._progress else True
        return tqdm(total=total, desc=what, unit="frame", disable=off, leave=False)

    def _summary(self, looks: Sequence[Look], chosen: Sequence[Chosen], splits: Sequence[str]) -> str:
        job = self._job
        lines = [
            f"{job.output}: {len(chosen)} of {len(looks)} frames of {len(job.paths)} "
            f"recording{'' if len(job.paths) == 1 else 's'} ({', '.join(splits)})"
        ]
        counts = {
            reason: sum(reason in one.reasons for one in chosen) for one in chosen for reason in one.reasons
        }
        lines.append("  " + ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items())))
        if len(chosen) < job.count:
            lines.append(
                f"  {job.count - len(chosen)} fewer than --count {job.count}: every other frame looks like "
                f"one of them (--min-distance {job.min_distance:g})"
            )
        if self._incomplete:
            lines.append(f"  {self._incomplete} frames without an image of every topic were left out")
        if len(splits) == 1:
            lines.append("  one frame is too few for a val.txt, which train needs: raise --count")
        lines += [f"  {job.output / name}" for name in (TABLE, SHEET, *job.formats)]
        return "\n".join(lines)


def divided(frames: Sequence[tuple[str, int]], val_share: float) -> dict[str, list[str]]:
    """(name, recording) of frames in order -> the splits train and val, if there are two frames: the last of
    each recording's go into val, as frames that are near each other in time are alike."""
    train: list[str] = []
    val: list[str] = []
    for recording in dict.fromkeys(index for _, index in frames):
        names = [name for name, index in frames if index == recording]
        first = len(names) - round(len(names) * val_share)
        train += names[:first]
        val += names[first:]
    if not val and len(train) > 1:
        val = [train.pop()]
    if not train and len(val) > 1:
        train = [val.pop(0)]
    splits = {"train": train or val}
    return splits | {"val": val} if train and val else splits


def _table(
    written: Sequence[tuple[str, int, Chosen]], sources: Sequence[Source], splits: Mapping[str, Sequence[str]]
) -> str:
    """The chosen frames as CSV, the best first."""
    of_split = {name: split for split, names in splits.items() for name in names}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, index, one in sorted(written, key=lambda row: (-row[2].score, row[0])):
        look = one.look
        numbers = [one.score, look.uncertainty, look.disagreement, look.change]
        writer.writerow(
            [
                name,
                of_split[name],
                sources[index].name,
                look.number,
                look.stamp,
                *(f"{number:.6f}" for number in numbers),
                "; ".join(one.reasons),
            ]
        )
    return text.getvalue()


def _put(path: Path, data: bytes) -> None:
    make_folder(path.parent)
    write_whole(path, data)
