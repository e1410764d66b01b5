"""Where to compute."""

from __future__ import annotations

import torch

from asymfusion_ros.errors import ConfigError


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
