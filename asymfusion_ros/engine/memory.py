"""How much memory this process holds."""

from __future__ import annotations

import os
from pathlib import Path

import torch

STATM = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """Of this process's memory, what lies in RAM; None where the system doesn't say (it is not Linux)."""
    try:
        pages = int(STATM.read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def device_bytes(device: torch.device) -> int | None:
    """What torch has reserved on a GPU, in use or kept for reuse; None for a CPU."""
    return torch.cuda.memory_reserved(device) if device.type == "cuda" else None
