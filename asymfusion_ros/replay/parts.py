"""A replay that may be killed: what is done is kept in parts, each of which is whole or not there."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.text_file import one_line, parse_json, read_text
from asymfusion_ros.errors import DAMAGED, ConfigError, UserError
from asymfusion_ros.replay.records import Records

SETTINGS = "settings.json"
PREFIX = "score_"
LARGEST = 1 << 20  # bytes of the settings


@dataclass(frozen=True)
class Part:
    """frames: their records. scores: what was counted of those with labels. exported: what the exports
    returned for each frame, by export. notes: what was to be said. seconds: that it took. last: the
    labels of its last frame, H x W uint8.
    """

    frames: Records
    scores: Mapping[str, npt.NDArray[np.int64]]
    exported: Mapping[str, Sequence[dict[str, Any]]]
    notes: Sequence[str]
    seconds: float
    last: npt.NDArray[np.uint8]

    def to_bytes(self) -> bytes:
        """As a file holds it."""
        file = io.BytesIO()
        arrays: dict[str, Any] = {
            **self.frames.to_arrays(),
            **{f"{PREFIX}{name}": array for name, array in self.scores.items()},
            "exported": np.array(json.dumps(dict(self.exported))),
            "notes": np.array(json.dumps(list(self.notes))),
            "wall": np.array(self.seconds),
            "last": self.last,
        }
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    @classmethod
    def read(cls, path: Path) -> Part:
        """Raises UserError for a file that is damaged."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(
                    Records.from_arrays(arrays),
                    {n.removeprefix(PREFIX): arrays[n] for n in arrays.files if n.startswith(PREFIX)},
                    json.loads(str(arrays["exported"])),
                    json.loads(str(arrays["notes"])),
                    float(arrays["wall"]),
                    arrays["last"],
                )
        except DAMAGED as error:
            raise UserError(f"{path} is damaged ({one_line(error)}): remove its folder") from error


class Parts:
    """Those in ``folder``, with the settings that they were made with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.count = 0

    def open(self, settings: Mapping[str, Any]) -> None:
        """Goes on with the parts that are there, or begins. Raises ConfigError for parts that were made with
        other settings."""
        make_folder(self._folder)
        path = self._folder / SETTINGS
        if path.is_file():
            check_settings(read_settings(path), settings, self._folder)
        else:
            write_whole(path, (json.dumps(settings, indent=2) + "\n").encode())
        while self.path(self.count).is_file():
            self.count += 1

    def path(self, number: int) -> Path:
        """The file of a part."""
        return self._folder / f"part_{number:05d}.npz"

    def add(self, part: Part) -> None:
        """Keeps the next one. Raises UserError."""
        write_whole(self.path(self.count), part.to_bytes())
        self.count += 1

    def read(self) -> list[Part]:
        """All, in order, without their last labels."""
        nothing = np.zeros((0, 0), np.uint8)
        return [replace(Part.read(self.path(number)), last=nothing) for number in range(self.count)]

    def remove(self) -> None:
        """Once they have been put together."""
        shutil.rmtree(self._folder, ignore_errors=True)


def read_settings(path: Path) -> Mapping[str, Any]:
    """Raises UserError for a file that is damaged."""
    try:
        found = parse_json(read_text(path, LARGEST))
        if isinstance(found, Mapping):
            return found
    except ValueError:
        pass
    raise UserError(f"{path} is damaged: remove its folder")


def check_settings(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Raises ConfigError where they differ."""
    for name in {**before, **now}:
        one, other = before.get(name), now.get(name)
        if one != other:
            raise ConfigError(
                f"{folder} was begun with {name} = {one}, now it is {other}: give what it was begun with, or "
                "another --output"
            )
