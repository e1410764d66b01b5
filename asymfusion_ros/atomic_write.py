"""Files that are whole or not there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from asymfusion_ros.errors import UserError


def write_whole(path: Path, data: bytes, refusal: type[UserError] = UserError) -> None:
    """Writes beside ``path``, then renames. Raises ``refusal`` where it cannot be written."""
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as error:
        raise refusal(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # it is gone after the renaming, and may never have come to be
            partial.unlink()


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
