"""Files that are whole or not there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asymfusion_ros.errors import UserError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write the file to; renamed in the end, removed where something failed.

    Of several processes that write the same file, each waits for the one before.
    """
    partial = path.with_name(path.name + ".partial")
    with _alone(partial):
        try:
            yield partial
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """A lock on the file ``partial`` itself, which is made where it is not there."""
    while True:
        with partial.open("ab") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            try:
                still = os.path.samestat(os.fstat(file.fileno()), partial.stat())
            except FileNotFoundError:
                still = False
            if still:  # else the process before has renamed what was opened here
                yield
                return


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
