"""Writes a data set in the folder format so that it can be stopped at any moment and taken up again.

Every file is written beside its place and moved there whole, so that what is there is finished and is not
made again. dataset.yaml comes last: until then its text lies in dataset.yaml.unfinished, by which the next
run knows that it continues the same thing.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from asymfusion_ros.atomic_write import whole
from asymfusion_ros.errors import UserError
from asymfusion_training.prepare.images import SourceError
from asymfusion_training.prepare.parallel import in_parallel

UNFINISHED = "dataset.yaml.unfinished"
PARTS = ("rgb", "depth", "label")  # of a data set for segmentation
# A hard link that these refuse is made a copy: another file system, one without links, too many of them.
NO_LINK = {errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS, errno.EACCES}

Frame = TypeVar("Frame")


class FolderWriter:
    """root: the folder. description: the whole text of its dataset.yaml. parts: the folders of images in it.

    Raises UserError where the folder holds something else, cannot be written, or its disk is full.
    """

    def __init__(self, root: Path, description: str, parts: Sequence[str] = PARTS) -> None:
        self.root, self.parts = root, parts
        self.copied = False  # whether a file could not be linked
        with disk_errors(root):
            self._start(description.encode())

    def _start(self, description: bytes) -> None:
        begun = [path for path in (self.root / "dataset.yaml", self.root / UNFINISHED) if path.exists()]
        for path in begun:
            if path.read_bytes() != description:
                raise UserError(
                    f"{path} describes another data set, or one made with other options: "
                    "choose another --output, or delete that folder"
                )
        if not begun and self.root.exists() and any(self.root.iterdir()):
            raise UserError(
                f"{self.root} is not empty and was not made by this command: choose another --output"
            )
        for part in self.parts:
            (self.root / part).mkdir(parents=True, exist_ok=True)
        if not begun:
            with whole(self.root / UNFINISHED) as path:
                path.write_bytes(description)

    def has(self, part: str, name: str) -> bool:
        """Whether part/NAME.png is finished. Power that fails can leave an empty file: that is not."""
        path = self.root / part / f"{name}.png"
        return path.exists() and path.stat().st_size > 0

    def write(self, part: str, name: str, data: bytes) -> None:
        """Makes part/NAME.png of these bytes."""
        with self._new(part, name) as path:
            path.write_bytes(data)

    def link(self, part: str, name: str, source: Path) -> None:
        """Makes part/NAME.png a hard link to a file, or a copy where there can be no link."""
        with self._new(part, name) as path:
            self._link(source, path)

    @contextmanager
    def _new(self, part: str, name: str) -> Iterator[Path]:
        """Where to write part/NAME.png; a name may have folders."""
        place = self.root / part / f"{name}.png"
        with disk_errors(self.root):
            if "/" in name:
                place.parent.mkdir(parents=True, exist_ok=True)
            with whole(place) as path:
                yield path

    def _link(self, source: Path, path: Path) -> None:
        path.unlink(missing_ok=True)  # of a run that was killed
        try:
            os.link(source.resolve(), path)
        except OSError as error:
            if error.errno not in NO_LINK:
                raise
            shutil.copyfile(source, path)
            self.copied = True

    def finish(self, splits: Mapping[str, Sequence[str]], unlabelled: frozenset[str] = frozenset()) -> None:
        """Counts the files of every frame that a split lists, then writes the splits and dataset.yaml.

        unlabelled: frames that have no label.
        """
        names = sorted({name for split in splits.values() for name in split})
        wanted = [
            (part, name) for part in self.parts for name in names if part != "label" or name not in unlabelled
        ]
        missing = [f"{part}/{name}.png" for part, name in wanted if not self.has(part, name)]
        if missing:
            raise UserError(
                f"{len(missing)} files are missing in {self.root}, {missing[0]} the first: run it again"
            )
        with disk_errors(self.root):
            for split, listed in splits.items():
                with whole(self.root / f"{split}.txt") as path:
                    path.write_text("".join(f"{name}\n" for name in listed))
            if (self.root / UNFINISHED).exists():
                os.replace(self.root / UNFINISHED, self.root / "dataset.yaml")


def make_frames(make: Callable[[Frame], bool], frames: Sequence[Frame], title: str, workers: int) -> int:
    """Makes every frame and returns how many were new; ``make`` says whether its frame was.

    A frame whose source is wrong does not keep the others from being made. Raises UserError after them.
    """
    new, wrong = attempt_frames(make, frames, title, workers)
    if wrong:
        others = f" (and {len(wrong) - 1} more frames are wrong)" if len(wrong) > 1 else ""
        raise UserError(f"{wrong[0][1]}{others}; the rest is made: mend it and run the same command again")
    return new


def attempt_frames(
    make: Callable[[Frame], bool], frames: Sequence[Frame], title: str, workers: int
) -> tuple[int, list[tuple[Frame, SourceError]]]:
    """The same, but returns what is wrong with which frames."""

    def attempt(frame: Frame) -> bool | SourceError:
        try:
            return make(frame)
        except SourceError as error:
            return error

    new, wrong = 0, []
    for outcome, frame in zip(in_parallel(attempt, frames, title, workers), frames):
        if isinstance(outcome, SourceError):
            wrong.append((frame, outcome))
        else:
            new += outcome
    return new, wrong


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Raises UserError for what keeps files in ``root`` from being written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"the disk of {root} is full: free some space and run the same command again; it continues"
            ) from error
        raise UserError(f"cannot write {error.filename or root}: {error.strerror}") from error
