"""What runs the network, by name; one module each."""

from __future__ import annotations

import importlib

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_ros.errors import ConfigError

__all__ = ["BACKENDS", "Backend", "open_backend"]

# name -> (module, class); a module is imported when its backend is asked for.
BACKENDS = {"torch": ("asymfusion_ros.engine.backends.torch", "TorchBackend")}


def open_backend(name: str, checkpoint: Checkpoint, device: str, precision: str) -> Backend:
    """The checkpoint's network on a backend. Raises ConfigError for one that is unknown, or a device or
    precision that it does not have."""
    if name not in BACKENDS:
        raise ConfigError(f"backend: unknown backend {name!r}; use one of {', '.join(BACKENDS)}")
    module, cls = BACKENDS[name]
    backend: Backend = getattr(importlib.import_module(module), cls)(checkpoint, device, precision)
    return backend
