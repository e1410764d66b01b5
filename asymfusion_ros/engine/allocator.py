"""Memory of a frame, or of a training step, kept for the next one."""

from __future__ import annotations

import ctypes
import os
import sys

KEEP = "ASYMFUSION_KEEP_MEMORY"  # 0: leave malloc as it is, for a process that has other uses for its memory

# glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8
NEVER = -1
TOP_PAD = 256 << 20


def keep_freed_memory() -> bool:
    """Has malloc keep what is freed, on Linux with glibc; returns whether it does.

    The network on a CPU frees and allocates the same large blocks at each frame or step. By default they go
    back to the system, which hands them out again page by page, each filled with zeros: a quarter of the
    time. torch has a caching allocator for GPUs alone. To be called before the first one: it changes the
    whole process, whose memory then stays at the largest that was needed. ASYMFUSION_KEEP_MEMORY=0 in the
    environment prevents it.
    """
    if os.environ.get(KEEP) == "0" or not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    settings = (
        (M_MMAP_MAX, 0),  # large blocks come from the heap too
        (M_TRIM_THRESHOLD, NEVER),
        (M_TOP_PAD, TOP_PAD),
        (M_ARENA_MAX, 1),  # the backward pass has a thread of its own: let it have the same heap
    )
    accepted = [mallopt(name, value) == 1 for name, value in settings]
    return all(accepted)
