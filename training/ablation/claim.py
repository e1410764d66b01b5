"""Several calls may share the rows of one output folder, on a GPU each: a row is made by one of them."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asymfusion_ros.whole_file import make_folder

FILE = ".claimed"


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Whether the row in ``folder`` is this process's now, until the block ends; a process that dies gives it
    up. Raises UserError where the folder cannot be made."""
    make_folder(folder)
    with (folder / FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
