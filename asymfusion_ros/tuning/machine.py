"""What a measurement holds for: the processor, the cores that may be used, the GPU, and the runtimes."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import torch

from asymfusion_ros.engine.precision import processor

RUNTIMES = ("torch", "openvino", "onnxruntime", "tensorrt")


def this_machine() -> dict[str, str]:
    """What it is, in words: processor, cores, gpu, and the versions of the runtimes that are installed."""
    found = {
        "processor": processor("model name") or platform.processor() or platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
    }
    if torch.cuda.is_available():
        found["gpu"] = torch.cuda.get_device_name()
    for name in RUNTIMES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What is not as it was, a phrase each."""
    names = [*then, *(name for name in now if name not in then)]
    return [
        f"{name} is {now.get(name, 'not there')}, was {then.get(name, 'not there')}"
        for name in names
        if then.get(name) != now.get(name)
    ]
