"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asymfusion_ros.errors import UserError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write the file to; renamed in the end, removed where something failed."""
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        with suppress(OSError):  # it is gone after the renaming, and may never have come to be
            partial.unlink()


def write_whole(path: Path, data: bytes, refusal: type[UserError] = UserError) -> None:
    """Raises ``refusal`` where the file cannot be written."""
    try:
        with whole(path) as partial:
            partial.write_bytes(data)
    except OSError as error:
        raise refusal(f"cannot write {path}: {error.strerror or error}") from error


def make_folder(path: Path) -> None:
    """Raises UserError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {path}: {error.strerror or error}") from error


def check_place(path: Path) -> None:
    """Raises UserError where no file could be written: known before hours of work rather than after."""
    if not path.parent.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {path.parent}")
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder")
