"""Which label a pixel is given, after the network: the class, or its group; none where confidence is low."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.label_groups import LabelGroups
from asymfusion_ros.data.labels import VOID
from asymfusion_ros.engine.fused import LabelRule, fused_labels, is_for
from asymfusion_ros.engine.postprocess import confidence_at, labels_at, to_bytes


class LabelRules:
    """``groups``: given out instead of the classes. ``threshold``: asked at each frame, the probability, 0 to
    1, below which a pixel is VOID; 0 leaves all as they are.

    Where a group is given out, the confidence is the group's: the sum of its classes' probabilities.
    """

    def __init__(
        self,
        groups: LabelGroups | None = None,
        threshold: Callable[[], float] = lambda: 0.0,
        device: torch.device | None = None,
    ) -> None:
        self.groups = groups
        self._threshold = threshold
        self._lookup: Tensor | None = None
        if groups is not None:
            # Of classes without a group too the sum is taken: they are one more group, the last.
            rows = [len(groups.labels) if group == VOID else group for group in groups.index]
            self._rows = torch.tensor(rows, device=device)
            self._members = F.one_hot(self._rows, len(groups.labels) + 1).T.float().contiguous()
            self._lookup = torch.tensor(groups.index, dtype=torch.uint8, device=device)

    def __call__(
        self, logits: Tensor, size: tuple[int, int], confidence: bool, temperature: float
    ) -> tuple[Tensor, Tensor | None]:
        """K x h x w logits -> labels, and where wanted their confidence, both ``size``, uint8."""
        threshold = self._threshold()
        if is_for(logits):
            return self._fused(logits, size, confidence, temperature, threshold)
        probability = None
        if confidence or threshold > 0:
            grouped = self._lookup is not None
            made = self._group_confidence_at if grouped else confidence_at
            probability = made(logits, size, temperature)
        labels = labels_at(logits, size)
        if self._lookup is not None:
            labels = self._lookup.index_select(0, labels.flatten().int()).view(size)
        if threshold > 0:
            assert probability is not None
            labels = labels.masked_fill(probability < 255 * threshold, VOID)
        return labels, probability if confidence else None

    def _fused(
        self, logits: Tensor, size: tuple[int, int], confidence: bool, temperature: float, threshold: float
    ) -> tuple[Tensor, Tensor | None]:
        """All of it in one kernel."""
        rows = None if self._lookup is None else self._rows
        rule = LabelRule(threshold, rows, self._lookup)
        labels, levels = fused_labels(logits[None], size, rule, confidence, temperature)
        return labels[0], None if levels is None else levels[0]

    def _group_confidence_at(self, logits: Tensor, size: tuple[int, int], temperature: float) -> Tensor:
        """As ``confidence_at``, of the winning class's group."""
        probability = torch.softmax(logits.float() / temperature, 0)
        rows = self._rows[probability.argmax(0)]
        sums = (self._members @ probability.flatten(1)).view(-1, *probability.shape[1:])
        return to_bytes(sums.gather(0, rows[None])[0], size)
