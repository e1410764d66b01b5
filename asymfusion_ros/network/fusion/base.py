"""What every fusion is to the block that it sits in."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from asymfusion_ros.network.layers.norms import Available

Spatial = Callable[[Tensor], Tensor]


class Fusion(nn.Module):
    """An exchange of features around the spatial convolution of one block, between its pointwise ones.

    Made from (FusionConfig, channels between the convolutions, stage from 1). kept: how many channels stay
    with their modality where channels are exchanged, None where none are.
    """

    kept: int | None = None

    def forward(self, x: Tensor, spatial: Spatial, available: Available) -> Tensor:
        """``spatial(x)``, fused. x: (P N) x C x H x W, the P available modalities stacked along the batch.
        spatial: the block's spatial convolution with its norm (and activation), of a stack to one of the
        same shape, or to one of the channels that the fusion was made for."""
        raise NotImplementedError

    def additions(self, channels: int, senders: int) -> int | None:
        """Arithmetic of one pixel of a modality that receives from so many others; None where layers do the
        work, whose operations torch counts."""
        return None


def fusion_tensors(encoder: nn.Module) -> set[str]:
    """Names of the tensors in an encoder's state dict that belong to its fusions."""
    return {
        f"{place}.{name}"
        for place, module in encoder.named_modules()
        if isinstance(module, Fusion)
        for name in module.state_dict()
    }
