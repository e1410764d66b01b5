"""Scoring as replay sees it: who counts is the training package, which is asked for by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.uint8]


class Counter(Protocol):
    """Counts frames with labels.

    Everything that it has counted since ``take`` was called last is a set of arrays of whole numbers, which
    a file can hold, and of which any number can be added up again.
    """

    def add(self, label: Labels, predictions: Mapping[str, Labels], confidence: Labels | None) -> None:
        """A frame: its label, void 255, the labels of each modality that was available and of ``ensemble``,
        H x W each, and the ensemble's confidence, or None where it is of other modalities than all."""

    def take(self) -> dict[str, npt.NDArray[np.int64]]:
        """What has been counted since the last call."""

    def report(self, parts: list[Mapping[str, npt.NDArray[np.int64]]]) -> tuple[str, dict[str, Any]]:
        """The scores of all ``parts`` together: a table for people, and as JSON can hold them."""
