"""What every encoder is to the network."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from asymfusion_ros.network.layers.norms import Available


class Encoder(nn.Module):
    """Images to features at several resolutions.

    Made from (Sharing, FusionConfig, output stride); the stride is None for an encoder's own, else the
    features are not coarser than that. channels: of each feature, finest first. fusions_own: whether what the
    blocks hand to their fusions, and what the spatial convolutions return, is read nowhere else.

    exact: the names of the first layers, which lose most when they are rounded to bfloat16: they amplify
    small differences between large values. lower: where it is set, these layers compute in float32, and what
    they give is rounded to it.
    """

    channels: tuple[int, ...]
    fusions_own: bool = False
    exact: tuple[str, ...] = ()
    lower: torch.dtype | None = None

    def forward(self, x: Tensor, available: Available) -> list[Tensor]:
        """(P N) x 3 x H x W, the P available modalities stacked along the batch -> the features, finest
        first."""
        raise NotImplementedError

    def exactly(self, x: Tensor) -> AbstractContextManager[object]:
        """The context of the layers ``exact``."""
        return nullcontext() if self.lower is None else torch.autocast(x.device.type, enabled=False)

    def lowered(self, x: Tensor) -> Tensor:
        """What these layers give, as the rest takes it."""
        return x if self.lower is None else x.to(self.lower)
