"""Several calls may share the rows of one output folder, on a GPU each: a row is made by one of them."""

from __future__ import annotations

import errno
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asymfusion_ros.errors import UserError
from asymfusion_ros.whole_file import make_folder

FILE = ".claimed"


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether the row in ``folder`` is this process's now, until the block ends; a process that dies gives it
    up. Raises UserError where the folder cannot be made."""
    make_folder(folder)
    with (folder / FILE).open("w") as file:
        try:
            # Not flock: the processes that read frames would hold it on after a kill of this one.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise UserError(f"cannot claim {folder}: {error.strerror}") from error
            yield False
        else:
            yield True
