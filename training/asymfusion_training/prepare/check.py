"""Looks through a folder in the folder format: every frame of every split, and everything that is wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.labels import VOID
from asymfusion_ros.errors import UserError
from asymfusion_training.prepare.images import SourceError, read_image
from asymfusion_training.prepare.parallel import in_parallel
from asymfusion_training.prepare.writer import UNFINISHED

Counts = npt.NDArray[np.int64]
STORED = 65536  # values that 16 bits hold
Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Problem:
    """A file, and what is wrong with it."""

    path: Path
    message: str


@dataclass
class FrameCheck:
    """What one frame holds. labels: 256 pixel counts, None where the file cannot be used. values: 65536, of
    each single-channel modality whose file can."""

    size: Size | None = None
    labels: Counts | None = None
    values: dict[str, Counts] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


@dataclass
class SplitCheck:
    """The sum over a split's frames. labelled: False where none of its frames has a label. values: of every
    single-channel modality of the folder."""

    names: list[str]
    labelled: bool
    values: dict[str, Counts]
    sizes: Counter[Size] = field(default_factory=Counter)
    labels: Counts = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, frame: FrameCheck) -> None:
        """One more frame."""
        if frame.size is not None:
            self.sizes[frame.size] += 1
        if frame.labels is not None:
            self.labels += frame.labels
        for name, counts in frame.values.items():
            self.values[name] += counts


@dataclass
class FolderCheck:
    """What a folder holds, by split, and what is wrong with it."""

    folder: Folder
    splits: dict[str, SplitCheck]
    problems: list[Problem]
    warnings: list[str]


def check_folder(root: Path, splits: Sequence[str] | None = None, workers: int = 1) -> FolderCheck:
    """Reads every frame of the splits (default: of every *.txt) once.

    Raises UserError where there is nothing to look through: no dataset.yaml, a wrong one, no splits.
    """
    if (root / UNFINISHED).exists() and not (root / "dataset.yaml").exists():
        raise UserError(
            f"{root} is unfinished: give the call of `asymfusion prepare` that makes it again; it goes on"
        )
    folder = Folder(root)
    found: dict[str, SplitCheck] = {}
    problems: list[Problem] = []
    for split in splits or sorted(path.stem for path in root.glob("*.txt")):
        try:
            names = folder.names(split)
        except UserError as error:
            if splits is not None:
                raise
            problems.append(Problem(root / f"{split}.txt", str(error)))
            continue
        labelled = folder.labelled and any(folder.label_path(name).is_file() for name in names)
        values = {
            name: np.zeros(STORED, np.int64)
            for name, files in folder.images.items()
            if files.modality.kind != "colour"
        }
        found[split] = SplitCheck(names, labelled, values)
    if not found and not problems:
        raise UserError(
            f"{root} has no splits: write the frames' names, one a line, into {root / 'train.txt'}"
        )

    needs_label: dict[str, bool] = {}
    for checked in found.values():
        for name in checked.names:
            needs_label[name] = needs_label.get(name, False) or checked.labelled
    listing = {split: set(checked.names) for split, checked in found.items()}
    frames = in_parallel(
        lambda item: _check_frame(folder, *item), list(needs_label.items()), "check", workers
    )
    for frame, name in zip(frames, needs_label):
        problems += frame.problems
        for split, checked in found.items():
            if name in listing[split]:
                checked.add(frame)
    return FolderCheck(folder, found, problems, _warnings(found))


def _check_frame(folder: Folder, name: str, needs_label: bool) -> FrameCheck:
    check = FrameCheck()

    def read(path: Path, flags: int) -> npt.NDArray[Any] | None:
        try:
            return read_image(path, flags)
        except SourceError as error:
            check.problems.append(Problem(path, str(error).removeprefix(f"{path} ")))
            return None

    images: list[tuple[Path, npt.NDArray[Any]]] = []
    for name_of, files in folder.images.items():
        path = files.path(name)
        if files.modality.kind == "colour":
            if path.exists():
                image = read(path, cv2.IMREAD_COLOR)
            else:
                jpg = path.with_suffix(".jpg")
                check.problems.append(Problem(jpg, f"is missing, and {path.name} too"))
                continue
        else:
            image = read(path, cv2.IMREAD_UNCHANGED)
            if image is not None and (image.ndim != 2 or image.dtype not in (np.uint8, np.uint16)):
                text = f"is {_kind(image)}; {name_of} has one channel of 8 or 16 bits"
                check.problems.append(Problem(path, text))
                continue
            if image is not None:
                check.values[name_of] = np.bincount(image.ravel(), minlength=STORED)
        if image is not None:
            images.append((path, image))
    label_path = folder.label_path(name)
    label = read(label_path, cv2.IMREAD_UNCHANGED) if needs_label else None
    if label is not None and (label.ndim != 2 or label.dtype != np.uint8):
        check.problems.append(Problem(label_path, f"is {_kind(label)}; a label has one channel of 8 bits"))
        label = None
    if label is not None:
        images.append((label_path, label))

    sizes = [(image.shape[0], image.shape[1]) for _, image in images]
    check.size = sizes[0] if sizes else None
    for (path, _), size in zip(images, sizes):
        if size != check.size:
            check.problems.append(Problem(path, f"is {_by(size)}, but its frame is {_by(sizes[0])}"))
    if label is not None:
        counts = np.bincount(label.ravel(), minlength=256)
        if folder.void != VOID:
            counts[VOID] += counts[folder.void]
            counts[folder.void] = 0
        beyond = [value for value in np.flatnonzero(counts) if len(folder.labels) <= value < VOID]
        if beyond:
            listed = ", ".join(f"{value} ({counts[value]} pixels)" for value in beyond)
            check.problems.append(
                Problem(label_path, f"has values beyond the {len(folder.labels)} classes: {listed}")
            )
            counts[beyond] = 0
        check.labels = counts
    return check


def _warnings(splits: dict[str, SplitCheck]) -> list[str]:
    warnings = []
    for split, checked in splits.items():
        twice = [name for name, count in Counter(checked.names).items() if count > 1]
        if twice:
            warnings.append(f"{split} lists {len(twice)} frames more than once, {twice[0]} the first")
    for one, other in combinations(splits, 2):
        if one in other or other in one or _fold(one) != _fold(other):
            continue  # trainval is made of train and val, and so is every fold
        second = set(splits[other].names)
        shared = [name for name in dict.fromkeys(splits[one].names) if name in second]
        if shared:
            warnings.append(
                f"{one} and {other} share {len(shared)} frames, {shared[0]} the first: "
                "a score on what was trained on says nothing"
            )
    return warnings


def _fold(split: str) -> str:
    """``fold0_`` of fold0_train; empty for a split of no fold."""
    found = re.match(r"fold\d+_", split)
    return found[0] if found else ""


def _kind(image: npt.NDArray[Any]) -> str:
    channels = 1 if image.ndim == 2 else image.shape[2]
    return f"{channels} channel{'s' * (channels > 1)} of {image.dtype.itemsize * 8} bits"


def _by(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"
