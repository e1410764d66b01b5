"""From the decoder's logits to labels and confidence at the size of the frame."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.engine.upsampled_argmax import upsampled_argmax


def labels_at(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """K x h x w -> ``size``, uint8: the class of the largest bilinearly upsampled logit.

    On a CPU, upsampling K channels to every pixel costs as much as the network, nearly all of it in moving
    memory. There, it is computed only where several classes come into question.
    """
    height, width = logits.shape[1:]
    if logits.device.type == "cpu" and size[0] > height and size[1] > width:
        return torch.from_numpy(upsampled_argmax(logits.detach().float().numpy(), size))
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
    full = full[0, 0].mul_(255)
    if full.device.type == "cpu":  # the same in NumPy, four times faster
        return torch.from_numpy(np.rint(full.numpy()).astype(np.uint8))
    return full.round_().clamp_(0, 255).to(torch.uint8)
