"""Weights of the classes in the loss, from how often each is seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
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
    with ThreadPoolExecutor() as pool:  # decoding lets other threads run
        labels = pool.map(folder.read_label, names)
        for label in tqdm(
            labels, "count the classes", len(names), unit="frame", leave=False, disable=not progress
        ):
            counts += np.bincount(label.ravel(), minlength=256)
    counts[VOID] = 0
    counts = counts[: len(folder.labels)]
    seen = counts > 0
    weights = np.ones(len(counts))
    weights[seen] = (np.median(counts[seen]) / counts[seen]) ** balance
    return torch.from_numpy(weights.clip(SMALLEST, LARGEST)).float()
