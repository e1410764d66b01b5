"""A recording is replayed by one process at a time, on whichever machine."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asymfusion_ros.errors import ConfigError

LOOK = 0.2  # seconds between looks whether the other process has ended


@contextmanager
def alone(path: Path, patience: float = 0.0) -> Iterator[None]:
    """Holds the file ``path``, which is removed in the end; the system lets go of it where the process is
    killed. Raises ConfigError where another process holds it for longer than ``patience`` seconds."""
    end = time.monotonic() + patience
    while True:
        with path.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held = _is(path, file.fileno())  # else whoever held it has removed what was opened here
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise ConfigError(
                        f"another replay is writing there: {path} is held; wait for its end"
                    ) from error
                held = False
            except OSError:  # a file system without locks
                held = True
            if held:
                try:
                    yield
                finally:
                    path.unlink(missing_ok=True)
                return
        time.sleep(LOOK)


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
