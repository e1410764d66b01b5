"""Tensors out of the files that torch.save writes: pickles, so read with weights_only and never trusted."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
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
    try:
        with _numpy_scalars_allowed():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a torch file, or holds more than tensors and numbers, which could run code: "
            "save only its state dict with torch.save"
        ) from error
    except DAMAGED as error:
        reason = (str(error).splitlines() or ["it ends too soon"])[0]
        raise CheckpointError(
            f"{path} is damaged or not a torch file ({type(error).__name__}: {reason})"
        ) from error
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds no state dict: it must map names to tensors")
    return content


def _numpy_scalars_allowed() -> AbstractContextManager[None]:
    """Scores are often saved along as numpy scalars, which are data and no code.

    Older torch (before 2.5) cannot allow them for one call: there such a file is refused.
    """
    if not hasattr(torch.serialization, "safe_globals"):
        return nullcontext()
    rebuild: Any = np.float64(0).__reduce__()[0]
    harmless: list[Any] = [np.dtype, type(np.dtype(np.float64))]
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # NumPy 1 and 2 write these

        def scalar(*arguments: Any) -> Any:
            return rebuild(*arguments)

        scalar.__module__ = module  # torch allows by module and name
        scalar.__qualname__ = "scalar"
        harmless.append(scalar)
    return torch.serialization.safe_globals(harmless)
