"""Where to compute, and in which number format."""

from __future__ import annotations

import torch

from asymfusion_ros.errors import ConfigError

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def choose_device(name: str) -> torch.device:
    """``auto`` (a GPU if torch sees one), ``cpu``, ``cuda`` or ``cuda:N``. Raises ConfigError."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"unknown device {name!r}: use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if not torch.cuda.is_available() or (device.index or 0) >= count:
            raise ConfigError(
                f"device {name!r} is not there (torch sees {count} CUDA devices): use auto or cpu"
            )
    elif device.type != "cpu":
        raise ConfigError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N")
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """``auto`` (fp16 on a GPU, fp32 on a CPU), ``fp32``, ``fp16`` or ``bf16``. Raises ConfigError."""
    if name == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in PRECISIONS:
        raise ConfigError(f"unknown precision {name!r}: use auto, {', '.join(PRECISIONS)}")
    return PRECISIONS[name]
