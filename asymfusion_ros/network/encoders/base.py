"""What every encoder is to the network."""

from __future__ import annotations

from torch import Tensor, nn

from asymfusion_ros.network.layers.norms import Available


class Encoder(nn.Module):
    """Images to features at several resolutions.

    Made from (Sharing, FusionConfig, output stride); the stride is None for an encoder's own, else the
    features are not coarser than that. channels: of each feature, finest first. fusions_own: whether what the
    blocks hand to their fusions, and what the spatial convolutions return, is read nowhere else.
    """

    channels: tuple[int, ...]
    fusions_own: bool = False

    def forward(self, x: Tensor, available: Available) -> list[Tensor]:
        """(P N) x 3 x H x W, the P available modalities stacked along the batch -> the features, finest
        first."""
        raise NotImplementedError
