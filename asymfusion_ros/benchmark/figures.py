"""What is reported of measured times and memory."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Sequence

import numpy as np
import torch


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and the least, rounded to microseconds."""
    return {
        "p50": round(statistics.median(values), 3),
        "p95": round(float(np.percentile(values, 95)), 3),
        "p99": round(float(np.percentile(values, 99)), 3),
        "best": round(min(values), 3),
    }


def peak_memory(device: torch.device) -> dict[str, float]:
    """MiB that this process has had at most: of memory, and of a GPU's."""
    found = {"host_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}
    if device.type == "cuda":
        found["gpu_mib"] = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    return found
