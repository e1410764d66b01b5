"""What Fast DDS leaves in /dev/shm: segments of processes that were killed, which nobody reclaims.

Each participant has a segment (64 MiB with our profile) beside a lock file, `<segment>_el`, which its process
holds locked (flock) for as long as it lives; the kernel lets go of it however the process ends. So a segment
whose lock file can be locked has no owner.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from pathlib import Path

FOLDER = Path("/dev/shm")
LOCK = re.compile(r"(?:fastdds|fastrtps)_[0-9a-f]{16}_el")
# A lock file is made a moment before it is locked.
YOUNG = 10.0  # seconds


def remove_unowned(folder: Path = FOLDER) -> int:
    """Removes the segments whose processes have ended; the bytes that were freed. What belongs to another
    user stays.
    """
    freed = 0
    for lock in list(folder.iterdir()) if folder.is_dir() else []:
        if LOCK.fullmatch(lock.name):
            try:
                freed += _remove_if_unowned(lock)
            except OSError:
                continue  # locked, another user's, or just removed by somebody else
    return freed


def _remove_if_unowned(lock: Path) -> int:
    """The bytes that were freed. Raises OSError where the segment has an owner."""
    descriptor = os.open(lock, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - os.fstat(descriptor).st_mtime < YOUNG:
            return 0
        segment = lock.with_name(lock.name.removesuffix("_el"))
        size = segment.stat().st_blocks * 512 if segment.exists() else 0
        segment.unlink(missing_ok=True)
        lock.unlink()
        return size
    finally:
        os.close(descriptor)
