"""What a measurement holds for: the processor, the cores that may be used, the GPU, and the runtimes."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

RUNTIMES = ("torch", "openvino", "onnxruntime", "tensorrt")
COMPUTES_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is ARM's


def this_machine() -> dict[str, str]:
    """What it is, in words: processor, cores, gpu, and the versions of the runtimes that are installed."""
    found = {
        "processor": _processor("model name") or platform.processor() or platform.machine(),
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


def computes_bf16() -> bool:
    """Whether the processor has instructions for it; without, it is slower than float32."""
    return bool(COMPUTES_BF16 & set((_processor("flags") or _processor("Features")).split()))


def _processor(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""
