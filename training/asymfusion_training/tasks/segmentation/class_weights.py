"""Weights of the classes in the loss, from how often each is seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.labels import VOID

SMALLEST, LARGEST = 0.1, 10.0


def class_weights(folder: Folder, split: str, balance: float, progress: bool = True) -> Tensor:
    """K weights: (median frequency / the class's frequency) ** balance, within 0.1 to 10.

    Raises UserError for a label that cannot be read. A class that is never seen weighs 1.
    """
    names = folder.names(split)
    counts = np.zeros(256, np.int64)

    def counted(name: str) -> npt.NDArray[np.int64]:
        return np.bincount(folder.read_label(name).ravel(), minlength=256)

    with ThreadPoolExecutor() as pool:  # decoding lets other threads run
        found = pool.map(counted, names)
        for each in tqdm(
            found, "count the classes", len(names), unit="frame", leave=False, disable=not progress
        ):
            counts += each
    counts[VOID] = 0
    counts = counts[: len(folder.labels)]
    seen = counts > 0
    weights = np.ones(len(counts))
    weights[seen] = (np.median(counts[seen]) / counts[seen]) ** balance
    return torch.from_numpy(weights.clip(SMALLEST, LARGEST)).float()
