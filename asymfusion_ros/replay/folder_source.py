"""A folder of images as a recording: ``rgb/``, ``depth/``, ... with a file a frame.

A file called by its time, seconds (1305031102.175304.png) or nanoseconds (1305031102175304000.png), is of
that time, and pairs as in a bag. Others pair by their names, and follow each other at a steady rate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2

from asymfusion_ros.data.folder import Folder, ImageFiles
from asymfusion_ros.data.image_file import read_image
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ConfigError, ImageError, UserError
from asymfusion_ros.messages.camera_info import LatestCameraInfo
from asymfusion_ros.messages.stamped_image import StampedImage
from asymfusion_ros.messages.transforms import FixedFrames
from asymfusion_ros.recordings.recording import NANOSECONDS
from asymfusion_ros.replay.files import natural, stamp_in, stamp_name
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.source import Arrival, Source

SUFFIXES = (".png", ".jpg", ".jpeg")
FRAME_ID = "camera"


class FolderSource:
    """See Source. ``split``: of a data set (one with dataset.yaml), whose frames alone are given, in its
    order. ``rate``: frames a second, of files that are not called by their time. Raises UserError."""

    def __init__(
        self,
        root: Path,
        modalities: Sequence[Modality],
        options: ReadOptions,
        notes: Notes,
        split: str | None = None,
        rate: float = 30.0,
    ) -> None:
        self.root = root
        self.name = root.resolve().name
        self.lost = ""
        self.transforms = FixedFrames(notes)
        self.fixed: Sequence[Any] = ()
        self.infos: Mapping[str, LatestCameraInfo] = {}
        self.data_set = Folder(root) if (root / "dataset.yaml").is_file() else None
        if split is not None and self.data_set is None:
            raise ConfigError(f"split {split!r}: {root} has no dataset.yaml, so no splits; leave it out")
        files = {modality.name: self._files(modality, split) for modality in modalities}
        found = {name: some for name, some in files.items() if some}
        if not found:
            names = " or ".join(f"{name}/" for name in files)
            raise ConfigError(f"{root} has no images in {names}: PNG or JPEG, a file a frame")
        for name in [name for name in files if name not in found]:
            notes(f"no images in {root / name}: going on without")
        self.topics: Mapping[str, str] = {name: str(self._place(name)) for name in found}
        self.images: Mapping[str, int] = {name: len(some) for name, some in found.items()}
        self._modalities = {modality.name: modality for modality in modalities}
        self._ordered = _ordered(found, rate, split is None)
        self._names = {(one.modality, one.stamp): one.name for one in self._ordered}
        if options.seconds is not None and self._ordered:
            end = self._ordered[0].stamp + options.seconds * NANOSECONDS
            self._ordered = [one for one in self._ordered if one.stamp < end]
        self.title = f"{root}: " + ", ".join(f"{count} {name}" for name, count in self.images.items())

    def __iter__(self) -> Iterator[Arrival]:
        for one in self._ordered:
            seconds, nanoseconds = divmod(one.stamp, NANOSECONDS)
            stamp = SimpleNamespace(sec=seconds, nanosec=nanoseconds)
            header = SimpleNamespace(stamp=stamp, frame_id=FRAME_ID)
            image = StampedImage(header, partial(self._read, one))
            yield Arrival(one.modality, one.stamp, image, one.path.stat().st_size, None, one.path.stem)

    def frame_name(self, modality: str, stamp: int) -> str:
        """What the file of an image is called, without its ending."""
        return self._names[modality, stamp]

    def _place(self, modality: str) -> Path:
        if self.data_set is not None and modality in self.data_set.images:
            return self.data_set.images[modality].folder
        return self.root / modality

    def _files(self, modality: Modality, split: str | None) -> dict[str, Path]:
        """The files of a modality by their names, in order."""
        place = self._place(modality.name)
        if self.data_set is not None and split is not None:
            if modality.name not in self.data_set.images:
                return {}
            files = self.data_set.images[modality.name]
            return {name: files.path(name) for name in self.data_set.names(split)}
        if not place.is_dir():
            return {}
        paths = [path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()]
        named = {str(path.relative_to(place).with_suffix("")): path for path in paths}
        return dict(sorted(named.items(), key=lambda item: natural(item[0])))

    def _read(self, one: _File) -> RawImage:
        modality = self._modalities[one.modality]
        if self.data_set is not None and one.modality in self.data_set.images:
            files = self.data_set.images[one.modality]
        else:
            files = ImageFiles(modality, one.path.parent, modality.unit)
        colour = modality.kind == "colour"
        try:
            stored = read_image(one.path, cv2.IMREAD_COLOR if colour else cv2.IMREAD_UNCHANGED)
            if modality.kind == "range" and self.data_set is None and stored.dtype.name == "uint8":
                raise UserError(
                    f"{one.path} has 8 bits: depth is 16-bit millimetres, or give its unit in a dataset.yaml"
                )
            return RawImage.from_array(modality.from_file(stored, files.unit))
        except UserError as error:
            raise ImageError(str(error)) from error


@dataclass(frozen=True)
class _File:
    modality: str
    name: str
    path: Path
    stamp: int


def file_name(source: Source, modality: str, stamp: int) -> str:
    """What the files of a frame are called: as those of a folder, or after its stamp."""
    if isinstance(source, FolderSource):
        return source.frame_name(modality, stamp)
    return stamp_name(stamp)


def is_folder(path: Path) -> bool:
    """Whether a path is a folder of images and not a bag."""
    if not path.is_dir() or (path / "metadata.yaml").is_file():
        return False
    return not any(file.suffix in (".db3", ".mcap") for file in path.iterdir())


def _ordered(found: Mapping[str, Mapping[str, Path]], rate: float, sort: bool) -> list[_File]:
    """All files in the order of their times, those of a frame in the network's order."""
    names = list(dict.fromkeys(name for files in found.values() for name in files))
    if sort:
        names.sort(key=natural)
    stamps = {name: stamp_in(name) for name in names}
    if any(stamp is None for stamp in stamps.values()):
        period = NANOSECONDS / rate
        stamps = {name: NANOSECONDS + round(index * period) for index, name in enumerate(names)}
    files = [
        _File(modality, name, path, stamps[name] or 0)
        for modality, some in found.items()
        for name, path in some.items()
    ]
    return sorted(files, key=lambda one: one.stamp)  # stable: of a frame in the network's order
