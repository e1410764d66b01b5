"""From the decoder's logits to labels and confidence at the size of the frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BAND_VALUES = 1 << 18  # floats at a time: 1 MiB, about what a core's cache holds


def labels_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """K x h x w -> ``size``, uint8: the class of the largest bilinearly upsampled logit.

    On a CPU, upsampling K channels to every pixel at once costs as much as the network, nearly all of it in
    moving memory. There it goes a few rows at a time, which stay in the cache.
    """
    if logits.device.type == "cpu":
        return _labels_in_bands(logits.float(), size)
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


def _labels_in_bands(logits: Tensor, size: tuple[int, int]) -> Tensor:
    classes, rows, columns = logits.shape
    height, width = size
    # A pixel's classes side by side, so that argmax reads along memory: h x W x K.
    stretched = _interpolation(columns, width) @ logits.permute(1, 2, 0).contiguous()
    down = _interpolation(rows, height)
    labels = torch.empty(size, dtype=torch.uint8)
    band = max(1, BAND_VALUES // (width * classes))
    for top in range(0, height, band):
        weights = down[top : top + band]
        touched = weights.any(0).nonzero()
        first, last = int(touched[0]), int(touched[-1]) + 1
        values = weights[:, first:last] @ stretched[first:last].view(last - first, -1)
        labels[top : top + band] = values.view(-1, width, classes).argmax(2)
    return labels


def _interpolation(inputs: int, outputs: int) -> Tensor:
    """outputs x inputs matrix of bilinear interpolation along one axis (pixel centres aligned)."""
    centre = ((torch.arange(outputs) + 0.5) * (inputs / outputs) - 0.5).clamp(min=0)
    first = centre.floor().long().clamp(max=inputs - 1)
    second = (first + 1).clamp(max=inputs - 1)
    share = (centre - first).clamp(max=1)
    matrix = torch.zeros(outputs, inputs)
    row = torch.arange(outputs)
    matrix[row, first] += 1 - share
    matrix[row, second] += share
    return matrix
