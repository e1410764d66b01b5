"""Frames in tar files of a thousand or so, in the form of webdataset: for data whose frames would be too many
files. A frame's files follow each other, called as it is and by modality: scene/0001.rgb.png."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from asymfusion_ros.atomic_write import whole, write_whole
from asymfusion_ros.data.folder import SHARDS
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.shard_files import shard_frames
from asymfusion_training.prepare.images import SourceError
from asymfusion_training.prepare.parallel import in_parallel
from asymfusion_training.prepare.writer import disk_errors

Encode = Callable[[str], Mapping[str, bytes]]  # a frame's PNGs, by modality


@dataclass
class Sharded:
    """What was written. frames: in all shards. new: of them made now. wrong: those that cannot be used, and
    why; they are in no shard."""

    shards: list[tuple[str, int]] = field(default_factory=list)
    new: int = 0
    wrong: list[tuple[str, SourceError]] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """In all shards."""
        return sum(count for _, count in self.shards)


def write_shards(
    root: Path, split: str, names: Sequence[str], each: int, encode: Encode, workers: int, skip: bool
) -> Sharded:
    """Writes SPLIT-000000.tar, ... of ``each`` frames in the order of ``names``, and SPLIT.shards.json.

    A shard that is there is finished, and is not made again. skip: leave frames that cannot be used out of
    their shards. Otherwise a shard with such a frame is not written, and UserError raised after the others.
    """
    try:
        from webdataset.writer import TarWriter
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"--shards needs {error.name}, which is not installed: pip install 'asymfusion_ros[shards]'"
        ) from error
    done = Sharded()
    parts = [names[start : start + each] for start in range(0, len(names), each)]
    paths = [root / f"{split}-{number:06d}.tar" for number in range(len(parts))]
    wanted = [name for path, part in zip(paths, parts) if not path.exists() for name in part]

    def attempt(name: str) -> Mapping[str, bytes] | SourceError:
        try:
            return encode(name)
        except SourceError as error:
            return error

    results = in_parallel(attempt, wanted, split, workers)
    made = zip(wanted, results)
    for path, part in zip(paths, parts):
        if path.exists():
            there = [name for name, _ in shard_frames(path)]
            left_out = sorted({*part} - {*there})
            done.wrong += [(name, SourceError(f"{name} was left out of {path} before")) for name in left_out]
            done.shards.append((path.name, len(there)))
            continue
        before, count = len(done.wrong), 0
        with suppress(_Abandoned), disk_errors(root), whole(path) as partial:
            with partial.open("wb") as file, TarWriter(file, encoder=False, compress=False, mtime=0) as tar:
                for name, images in islice(made, len(part)):
                    if isinstance(images, SourceError):
                        done.wrong.append((name, images))
                        continue
                    tar.write({"__key__": name, **{f"{one}.png": data for one, data in images.items()}})
                    count += 1
            if not count or (len(done.wrong) > before and not skip):
                raise _Abandoned
            done.new += count
            done.shards.append((path.name, count))
    results.close()  # its progress bar
    if done.wrong and not skip:
        others = f" (and {len(done.wrong) - 1} more frames are wrong)" if len(done.wrong) > 1 else ""
        raise UserError(
            f"{done.wrong[0][1]}{others}; the shards without them are made: mend it and run the same command "
            "again"
        )
    listed = [{"file": name, "frames": count} for name, count in done.shards]
    write_whole(root / SHARDS.format(split), (json.dumps({"shards": listed}, indent=2) + "\n").encode())
    return done


class _Abandoned(Exception):
    """Leaves the shard that is being written out: none of it stays."""
