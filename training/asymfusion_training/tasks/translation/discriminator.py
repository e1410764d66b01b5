"""pix2pix's conditional discriminator (Isola et al. 2017): is this image the truth, or made of that input?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.layers.initial import initialise_normal
from asymfusion_ros.network.layers.instance_norm import PrivateInstanceNorm2d
from asymfusion_ros.network.layers.norms import Available, PrivateBatchNorm2d


class Discriminator(nn.Module):
    """Five 4 x 4 convolutions, the first three of stride 2: each of its outputs judges 70 x 70 pixels.

    Domains share the convolutions and have norms of their own, as in the network that it judges.
    """

    def __init__(self, domains: int, width: int = 64, instance_norms: bool = False) -> None:
        super().__init__()

        def norm(channels: int) -> nn.Module:
            if instance_norms:
                return PrivateInstanceNorm2d(channels, domains)
            return PrivateBatchNorm2d(channels, domains, tells_alone=False)

        widths = (6, width, 2 * width, 4 * width, 8 * width, 1)
        strides = (2, 2, 2, 1, 1)
        ends = (0, len(strides) - 1)
        self.convs = nn.ModuleList(
            nn.Conv2d(widths[i], widths[i + 1], 4, stride, 1, bias=i in ends)
            for i, stride in enumerate(strides)
        )
        self.norms = nn.ModuleList(norm(channels) for channels in widths[2:5])
        initialise_normal(self)

    def forward(self, inputs: Tensor, images: Tensor, available: Available) -> Tensor:
        """The available domains stacked along the batch, (P N) x 3 x H x W inputs and images of them ->
        logits, (P N) x 1 x (H/8 - 2) x (W/8 - 2), above 0 where it takes an image for the truth."""
        first, *inner, last = self.convs
        x = first(torch.cat([inputs, images], dim=1))
        for conv, norm in zip(inner, self.norms, strict=True):
            x = norm(conv(F.leaky_relu(x, 0.2)), available)
        return last(F.leaky_relu(x, 0.2))
