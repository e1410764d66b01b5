"""From the decoder's logits to labels and confidence at the size of the frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def upsampled(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """N x K x h x w -> N x K x size, bilinear."""
    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False)


def labels_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """N x K x h x w -> N x size, uint8: the class of the largest bilinearly upsampled logit."""
    return upsampled(logits, size).argmax(1).to(torch.uint8)
