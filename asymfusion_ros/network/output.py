"""What a forward pass gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class NetworkOutput:
    """What a forward pass gives, at the decoder's own resolution (a quarter of the input's).

    logits: N x K x h x w for each modality, None where it was missing. ensemble: their weighted sum.
    weights: shape (S,), softmax of alpha over the available modalities, zero for a missing one.
    """

    logits: tuple[Tensor | None, ...]
    ensemble: Tensor
    weights: Tensor
