"""Frames in tar files of webdataset's form: a frame's files follow each other, called NAME.MODALITY.png."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from pathlib import Path

from asymfusion_ros.data.folder import SHARDS, Folder, Frame, check_sizes
from asymfusion_ros.data.frame_id import check_frame_id
from asymfusion_ros.data.text_file import one_line, parse_json, read_text
from asymfusion_ros.errors import DAMAGED, UserError

LARGEST_INDEX = 64 * 1024 * 1024  # bytes
LARGEST_IMAGE = 256 * 1024 * 1024


@dataclass(frozen=True)
class Shards:
    """paths: the tar files of a split. counts: how many frames each has."""

    paths: tuple[Path, ...]
    counts: tuple[int, ...]

    @property
    def frames(self) -> int:
        """In all of them."""
        return sum(self.counts)

    @property
    def starts(self) -> list[int]:
        """The number of each file's first frame among all, and in the end that of all frames."""
        return [0, *accumulate(self.counts)]


def read_index(folder: Folder, split: str) -> Shards:
    """The shards of a split. Raises UserError for a list that is damaged, or names a file that is missing."""
    path = folder.root / SHARDS.format(split)
    text = read_text(path, LARGEST_INDEX)
    try:
        listed = [(entry["file"], entry["frames"]) for entry in parse_json(text)["shards"]]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({type(error).__name__}: {one_line(error)}): prepare the data again"
        ) from error
    for name, count in listed:
        if not isinstance(name, str) or "/" in name or not name.endswith(".tar"):
            raise UserError(f"{path} is damaged: {str(name)[:80]!r} is not a tar file's name")
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UserError(f"{path} is damaged: {name} cannot have {count!r} frames")
        if not (folder.root / name).is_file():
            raise UserError(f"{folder.root / name} is missing, but {path.name} lists it")
    if not listed or len({name for name, _ in listed}) < len(listed):
        raise UserError(f"{path} is damaged: it lists {'a file twice' if listed else 'no files'}")
    return Shards(tuple(folder.root / name for name, _ in listed), tuple(count for _, count in listed))


def shard_frames(path: Path, first: int = 0, read: bool = False) -> Iterator[tuple[str, Mapping[str, bytes]]]:
    """(name, the files' bytes by modality) of each frame of a tar file, in its order, from ``first`` on.

    What comes before, and everything unless ``read``, is passed over without being read.
    Raises UserError for a file that is damaged.
    """
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            frames = groupby((member for member in tar if member.isreg()), lambda member: _parts(member)[0])
            for number, (name, members) in enumerate(frames):
                if number < first:
                    continue
                check_frame_id(name, path)
                yield name, {_parts(member)[1]: _content(tar, member) for member in members if read}
    except (tarfile.TarError, *DAMAGED) as error:
        raise UserError(
            f"{path} cannot be read as a tar file ({one_line(error)}): delete it and prepare the data again"
        ) from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if member.size > LARGEST_IMAGE:
        raise ValueError(f"{member.name} says that it has {member.size} bytes")
    file = tar.extractfile(member)
    data = b"" if file is None else file.read()
    if len(data) < member.size:
        raise EOFError(f"{member.name} is cut short")
    return data


def _parts(member: tarfile.TarInfo) -> tuple[str, str]:
    """(frame, modality): the name up to the first dot after its folders, what follows without the ending."""
    folders, slash, file = member.name.rpartition("/")
    name, _, rest = file.partition(".")
    return f"{folders}{slash}{name}", rest.removesuffix(".png")


def decoded(
    folder: Folder, path: Path, name: str, files: Mapping[str, bytes], modalities: Sequence[str]
) -> Frame:
    """The frame of a shard as ``Folder.read`` gives that of a folder. Raises UserError as it does."""
    read = {}
    for modality in modalities:
        where = f"{path}: {name}.{modality}.png"
        if modality not in files:
            raise UserError(f"{where} is missing: prepare the data again with that domain")
        read[modality] = (where, folder.images[modality].decode(files[modality], where))
    check_sizes(list(read.values()))
    return Frame(name, {modality: image for modality, (_, image) in read.items()}, None)
