"""What the kernel has to know of LabelRules."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LabelRule:
    """threshold: the probability, 0 to 1, below which a pixel is VOID; 0: none is.

    rows, lookup: where groups are given out, shape (K,) each on the logits' device: the row of each class
    (int64, classes of a group have the same, those without a group another one), whose probabilities are
    summed; and the label that is given out for it (uint8).
    """

    threshold: float = 0.0
    rows: Tensor | None = None
    lookup: Tensor | None = None
