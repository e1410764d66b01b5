"""Processes that share a folder: one makes what is in it, and it stays as it is while another reads it."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

from asymfusion_ros.atomic_write import make_folder
from asymfusion_ros.errors import UserError

FILE, USED = ".lock", ".used"


@contextmanager
def locked(folder: Path, wait: bool = False, told: str = "") -> Iterator[bool]:
    """Whether this process has the lock of ``folder`` until the block ends; a process that dies gives it up.
    ``wait``: until it has it, after a line that says ``told`` where it has to. Raises UserError where the
    folder cannot be made or written."""
    with _opened(folder, FILE) as file:
        mine = _lock(file, folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not mine and wait:
            if told:
                print(told, flush=True)
            mine = _lock(file, folder, fcntl.LOCK_EX)
        yield mine


def read_alone(folder: Path) -> bool:
    """Whether no other process reads the folder's files; none begins to before ``share``. Raises UserError
    where the folder cannot be made or written."""
    return _lock(_used(folder.resolve()), folder, fcntl.LOCK_EX | fcntl.LOCK_NB)


def share(folder: Path) -> None:
    """From now on, until it ends, this process reads the folder's files, and others may."""
    _lock(_used(folder.resolve()), folder, fcntl.LOCK_SH)


@cache
def _used(folder: Path) -> IO[bytes]:
    """Open as long as the process lives: closing any file of it would give up all its locks there."""
    return _opened(folder, USED)


def _opened(folder: Path, name: str) -> IO[bytes]:
    make_folder(folder)
    try:
        return (folder / name).open("ab+")
    except OSError as error:
        raise UserError(f"cannot lock {folder}: {error.strerror}") from error


def _lock(file: IO[bytes], folder: Path, how: int) -> bool:
    try:
        # Not flock: the processes that read frames would hold it on after a kill of this one.
        fcntl.lockf(file, how)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise UserError(f"cannot lock {folder}: {error.strerror}") from error
        return False
    return True
