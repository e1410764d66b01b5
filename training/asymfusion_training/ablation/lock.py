"""Several calls may share the rows of one output folder, on a GPU each: a row is made by one of them."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asymfusion_ros.atomic_write import make_folder
from asymfusion_ros.errors import UserError

FILE = ".lock"


@contextmanager
def locked(folder: Path, wait: bool = False) -> Iterator[bool]:
    """Whether this process has the lock of ``folder`` until the block ends; a process that dies gives it up.
    ``wait``: until it has it. Raises UserError where the folder cannot be made or written."""
    make_folder(folder)
    try:
        opened = (folder / FILE).open("w")
    except OSError as error:
        raise UserError(f"cannot lock {folder}: {error.strerror}") from error
    with opened as file:
        try:
            # Not flock: the processes that read frames would hold it on after a kill of this one.
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise UserError(f"cannot lock {folder}: {error.strerror}") from error
            yield False
        else:
            yield True
