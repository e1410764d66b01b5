"""The alpha-softmax ensemble over the modalities' predictions (Section 4.2 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Ensemble(nn.Module):
    """One importance score a modality; softmax over those available weighs their logits."""

    def __init__(self, modalities: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(modalities))

    def weights(self, available: Sequence[bool]) -> Tensor:
        """Shape (S,): softmax of alpha over the modalities available, zero for a missing one."""
        # Nothing is made from Python's numbers: a copy to a GPU would have to be waited for, at each frame.
        if all(available):
            return self.alpha.softmax(0)
        there = [i for i, here in enumerate(available) if here]
        present = torch.stack([self.alpha[i] for i in there]).softmax(0)
        zero = torch.zeros_like(self.alpha[0])
        return torch.stack([present[there.index(i)] if here else zero for i, here in enumerate(available)])

    def forward(self, logits: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """S logits of N x K x h x w, None where missing -> (weighted sum, weights).

        Training passes detached logits to let the ensemble's cross entropy reach alpha alone.
        """
        weights = self.weights([branch is not None for branch in logits])
        terms = [
            branch * weights[i].to(branch.dtype) for i, branch in enumerate(logits) if branch is not None
        ]
        return torch.stack(terms).sum(0) if len(terms) > 1 else terms[0], weights


def weighted_mean(x: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """(P N) x C x h x w -> N x C x h x w, by a weight for each of the P modalities; the weights' sum is 1.

    A classifier is linear, so what it makes of this is the ensemble of what it makes of each.
    """
    first, *others = x.chunk(len(weights))
    total = first * weights[0].to(x.dtype)
    for part, weight in zip(others, weights[1:]):
        total = torch.addcmul(total, part, weight.to(x.dtype))
    return total
