"""The decoder of pix2pix's U-Net (Isola et al. 2017): from the features of all layers to an image.

Shared by all modalities, norms included (Section 4.2 of the paper), so it takes the stack as one batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.decoders.config import DecoderConfig
from asymfusion_ros.network.layers.initial import initialise_normal
from asymfusion_ros.network.layers.norms import Available
from asymfusion_ros.network.layers.per_modality import Sharing

IMAGE_CHANNELS = 3
DROPPED = 3  # layers with dropout, the coarsest ones
TOGETHER: Available = (0,)  # to a norm with one set for all modalities the stack is one


class UpLayer(nn.Module):
    """ReLU, 4 x 4 transposed convolution of stride 2, norm, dropout; of an image the first two alone."""

    def __init__(self, inputs: int, outputs: int, sharing: Sharing | None, dropout: float) -> None:
        """sharing: of the norm, None for a layer that makes an image."""
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=sharing is None)
        self.norm = None if sharing is None else sharing.either_norm(outputs)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x outputs x 2H x 2W."""
        x = self.conv(F.relu(x))
        return x if self.norm is None else self.dropout(self.norm(x, TOGETHER))


class UNetDecoder(nn.Module):
    """As many layers as there are features; each but the first reads the features of its size too."""

    def __init__(self, config: DecoderConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        together = Sharing(1, private_norms=False, instance_norms=config.instance_norms)
        layers, inputs = [], channels[-1]
        for place, outputs in enumerate(reversed(channels[:-1])):
            layers.append(UpLayer(inputs, outputs, together, config.dropout if place < DROPPED else 0.0))
            inputs = 2 * outputs
        layers.append(UpLayer(inputs, IMAGE_CHANNELS, None, 0.0))
        self.layers = nn.ModuleList(layers)
        initialise_normal(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features of N x C_i x H/2^i x W/2^i, the finest first -> N x 3 x H x W, -1 to 1."""
        x, *skips = reversed(features)
        *upper, last = self.layers
        for layer, skip in zip(upper, skips, strict=True):
            x = torch.cat([layer(x), skip], dim=1)
        return torch.tanh(last(x))
