"""From the decoder's logits to labels and confidence at the size of the frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def labels_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """K x h x w -> ``size``, uint8: the class of the largest bilinearly upsampled logit.

    On a CPU, upsampling K channels costs more than the network. There it is done only where it can matter:
    an interpolated logit is a weighted mean of four neighbours', so between four that agree on the class
    that class wins everywhere.
    """
    if logits.device.type == "cpu":
        return _labels_by_cell(logits.float(), size)
    return labels_everywhere(logits, size)


def labels_everywhere(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The same by upsampling every channel to every pixel: right for a GPU, and the reference."""
    full = F.interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)
    return full[0].argmax(0).to(torch.uint8)


def confidence_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """K x h x w -> ``size``, uint8, 0 to 255: the winning class's softmax probability.

    Taken at the logits' resolution and upsampled bilinearly, which costs one channel instead of K.
    """
    logits = logits.float()
    probability = torch.exp(logits.amax(0) - torch.logsumexp(logits, 0))
    full = F.interpolate(probability[None, None], size, mode="bilinear", align_corners=False)
    return (full[0, 0] * 255).round().clamp(0, 255).to(torch.uint8)


def _labels_by_cell(logits: Tensor, size: tuple[int, int]) -> Tensor:
    classes, height, width = logits.shape
    top, bottom, down = _neighbours(height, size[0])
    left, right, across = _neighbours(width, size[1])
    pixels = logits.permute(1, 2, 0).contiguous()  # h x w x K: a pixel's classes side by side
    winner = pixels.argmax(2)

    agree = winner[top][:, left]
    labels = agree.to(torch.uint8)
    mixed = agree != winner[top][:, right]
    mixed |= agree != winner[bottom][:, left]
    mixed |= agree != winner[bottom][:, right]
    y, x = mixed.nonzero(as_tuple=True)
    if len(y) == 0:
        return labels
    # Across first, on the few rows there are; then down, for the mixed pixels alone.
    stretched = torch.lerp(pixels[:, left], pixels[:, right], across[:, None]).reshape(-1, classes)
    upper = stretched[top[y] * size[1] + x]
    lower = stretched[bottom[y] * size[1] + x]
    labels[y, x] = torch.lerp(upper, lower, down[y][:, None]).argmax(1).to(torch.uint8)
    return labels


def _neighbours(inputs: int, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each output position: its two inputs, and the second one's weight (pixel centres aligned)."""
    centre = (torch.arange(outputs, dtype=torch.float64) + 0.5) * (inputs / outputs) - 0.5
    centre = centre.clamp(min=0)
    first = centre.floor().long().clamp(max=inputs - 1)
    second = (first + 1).clamp(max=inputs - 1)
    return first, second, (centre - first).float()
