"""How far the modalities' predictions are apart, pixel by pixel: all of them come from one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

BAND_VALUES = 1 << 16  # floats of a modality at a time on a CPU, which stay in a core's cache
SMALLEST = 1e-30  # in place of a probability of 0, whose logarithm there is not


def disagreement(logits: Sequence[Tensor]) -> Tensor:
    """S >= 2 modalities' K x h x w logits -> h x w uint8: 0 where they predict the same, 255 where each is
    sure of a class of its own.

    255 times the Jensen-Shannon divergence of their softmaxes (the entropy of their mean less the mean of
    their entropies), over log S, its largest value. Raises ValueError for fewer than two.
    """
    if len(logits) < 2:
        raise ValueError("one modality has nothing to disagree with")
    classes, height, width = logits[0].shape
    # In bands for the reason that labels_at has: several times faster than whole planes.
    band = height if logits[0].is_cuda else max(1, BAND_VALUES // (classes * width))
    levels = torch.empty(height, width, dtype=torch.uint8, device=logits[0].device)
    for top in range(0, height, band):
        divergence = _divergence([one[:, top : top + band] for one in logits])
        levels[top : top + band] = (divergence * (255 / math.log(len(logits)))).round().clamp(0, 255)
    return levels


def _divergence(logits: Sequence[Tensor]) -> Tensor:
    """K x h x w each -> h x w, in nats."""
    # A pixel's classes side by side, so that sums read along memory: h x w x K.
    log_own = [one.permute(1, 2, 0).contiguous().float().log_softmax(2) for one in logits]
    own = [one.exp() for one in log_own]
    mean = torch.stack(own).mean(0) if len(own) > 2 else own[0].add(own[1]).mul_(0.5)
    within = torch.stack([torch.linalg.vecdot(p, log_p) for p, log_p in zip(own, log_own)]).mean(0)
    return within - torch.linalg.vecdot(mean, mean.clamp(min=SMALLEST).log())
