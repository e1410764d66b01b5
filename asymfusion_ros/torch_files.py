"""Tensors out of the files that torch.save writes: pickles, so read with weights_only and never trusted."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asymfusion_ros.errors import CheckpointError

# What unpickling a file that is damaged, or none, raises besides UnpicklingError.
DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError,
    RuntimeError, TypeError, ValueError, struct.error,
)  # fmt: skip
WRAPPERS = ("segmenter", "state_dict", "model")  # keys that training scripts put a state dict under


def load_tensors(path: str | Path) -> Mapping[str, Tensor]:
    """The state dict in a file of torch.save; runs no code from it.

    Raises CheckpointError where the file is missing, damaged, no state dict, or more than data.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    # Scores are often saved along as numpy scalars, which are data and no code, under either module's name.
    scalar: Any = np.float64(0).__reduce__()[0]
    harmless = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    try:
        with torch.serialization.safe_globals([*harmless, np.dtype, type(np.dtype(np.float64))]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is no torch file, or holds more than tensors and numbers, which could run code: "
            "save its state dict alone with torch.save"
        ) from error
    except DAMAGED as error:
        reason = (str(error).splitlines() or ["it ends too soon"])[0]
        raise CheckpointError(
            f"{path} is damaged or no torch file ({type(error).__name__}: {reason})"
        ) from error
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds no state dict: it must map names to tensors")
    return content
