"""From the decoder's logits to labels and confidence at the size of the frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

MIXED_AT_ONCE = 1 << 15  # pixels at a time: with 40 classes 5 MiB, about what a core's cache holds


def labels_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """K x h x w -> ``size``, uint8: the class of the largest bilinearly upsampled logit.

    On a CPU, upsampling K channels to every pixel costs as much as the network, nearly all of it in moving
    memory. There, only the pixels between grid points of different classes are computed.
    """
    if logits.device.type == "cpu":
        return _labels_where_mixed(logits.float(), size)
    return labels_everywhere(logits, size)


def labels_everywhere(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """The same by upsampling every channel to every pixel: right for a GPU, and the reference."""
    full = F.interpolate(logits[None].float(), size, mode="bilinear", align_corners=False)
    return full[0].argmax(0).to(torch.uint8)


def confidence_at(logits: Tensor, size: tuple[int, int], temperature: float = 1.0) -> Tensor:
    """K x h x w -> ``size``, uint8, 0 to 255: the winning class's probability, softmax(logits / temperature).

    Taken at the logits' resolution and upsampled bilinearly, which costs one channel instead of K.
    """
    logits = logits.float() if temperature == 1 else logits.float() / temperature
    return to_bytes(torch.exp(logits.amax(0) - torch.logsumexp(logits, 0)), size)


def to_bytes(probability: Tensor, size: tuple[int, int]) -> Tensor:
    """h x w of 0 to 1 -> ``size``, uint8, 0 to 255, upsampled bilinearly."""
    full = F.interpolate(probability[None, None], size, mode="bilinear", align_corners=False)
    return (full[0, 0] * 255).round().clamp(0, 255).to(torch.uint8)


def _labels_where_mixed(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """A pixel is a convex combination of the four grid points around it: where they agree on the largest
    logit, it has the same. Each pixel of the others gets its own sum of logits."""
    classes, rows, columns = logits.shape
    points = logits.permute(1, 2, 0).contiguous()  # a point's classes side by side: rows x columns x K
    winners = points.argmax(2).to(torch.uint8)
    top, bottom, down = _interpolation(rows, size[0])
    left, right, across = _interpolation(columns, size[1])
    above, below = winners[top], winners[bottom]
    labels = above[:, left]
    mixed = ((labels != above[:, right]) | (labels != below[:, left]) | (labels != below[:, right])).nonzero()
    if not len(mixed):
        return labels
    # Along the rows for all, rows x W x K, which is little: the grid has few rows.
    stretched = torch.lerp(points[:, left], points[:, right], across[:, None]).view(-1, classes)
    found = torch.empty(len(mixed), dtype=torch.uint8)
    for start in range(0, len(mixed), MIXED_AT_ONCE):
        y, x = mixed[start : start + MIXED_AT_ONCE].unbind(1)
        upper = stretched.index_select(0, top[y] * size[1] + x)
        lower = stretched.index_select(0, bottom[y] * size[1] + x)
        values = torch.lerp(upper, lower, down[y][:, None])
        found[start : start + MIXED_AT_ONCE] = values.argmax(1).to(torch.uint8)
    return labels.index_put_(tuple(mixed.unbind(1)), found)


def _interpolation(inputs: int, outputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Bilinear interpolation along one axis (pixel centres aligned): for each of the outputs, the two inputs
    that it lies between and the share of the second."""
    centre = ((torch.arange(outputs) + 0.5) * (inputs / outputs) - 0.5).clamp(min=0)
    first = centre.floor().long().clamp(max=inputs - 1)
    second = (first + 1).clamp(max=inputs - 1)
    return first, second, (centre - first).clamp(max=1)
