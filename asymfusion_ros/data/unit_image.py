"""The images that translation makes: of -1 to 1, as the network has them, and of 0 to 255, as people do."""

from __future__ import annotations

import torch
from torch import Tensor

from asymfusion_ros.data.modality import UNIT, Modality, Size


def unit_image(modality: Modality, x: Tensor, size: Size) -> Tensor:
    """N x 3 x H x W colours of 0 to 255 -> N x 3 x size float32 of -1 to 1, resized as an input is."""
    return modality.normalise(x, size, UNIT)


def as_uint8(image: Tensor) -> Tensor:
    """N x 3 x H x W of -1 to 1 -> uint8 of 0 to 255, each the nearest."""
    return ((image.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
