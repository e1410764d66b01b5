"""Tensors out of the files that torch.save writes: pickles, so read with weights_only and never trusted."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from asymfusion_ros.data.text_file import one_line
from asymfusion_ros.errors import DAMAGED, CheckpointError

NUMBERS = (torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32)
WRAPPERS = ("segmenter", "state_dict", "model")  # keys that training scripts put a state dict under


def load_tensors(path: str | Path) -> Mapping[str, Tensor]:
    """The state dict in a file of torch.save; runs no code from it.

    Raises CheckpointError where the file is missing, damaged, no state dict, or more than data.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        with _numpy_scalars_allowed(), quiet():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a torch file, or holds more than tensors and numbers, which could run code: "
            "save only its state dict with torch.save"
        ) from error
    except DAMAGED as error:
        # A lone KeyError or IndexError of the unpickler says nothing to anyone.
        told = "" if isinstance(error, LookupError) or not str(error) else f" ({one_line(error)})"
        raise CheckpointError(f"{path} is damaged or not a torch file{told}") from error
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} holds no state dict: it must map names to tensors")
    for name, tensor in content.items():
        if not isinstance(name, str):
            raise CheckpointError(f"{path} holds no state dict: {one_line(repr(name))} is no tensor's name")
        if tensor.layout != torch.strided or tensor.dtype not in NUMBERS or tensor.device.type != "cpu":
            raise CheckpointError(
                f"{path}: {one_line(name)} is a tensor of {tensor.dtype}, {tensor.layout}, on "
                f"{tensor.device}; weights are plain numbers"
            )
    return content


@contextmanager
def quiet() -> Iterator[None]:
    """Around torch.load: what it warns of in a damaged file is said by the refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


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
