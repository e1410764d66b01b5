"""What a decoder needs to know, apart from its encoder's channels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class DecoderConfig:
    """NetworkConfig says what each setting means.

    width: channels of its levels. coarsest: how many times as wide RefineNet's coarsest level is.
    drops_channels: dropout takes whole channels instead of single elements. output_stride: the input's size
    over that of the coarsest features, for a decoder that depends on it. instance_norms: in the place of
    batch norms, where it has any.
    """

    classes: int
    width: int = 256
    coarsest: int = 1
    dropout: float = 0.5
    drops_channels: bool = True
    output_stride: int | None = None
    instance_norms: bool = False

    def dropout_layer(self) -> nn.Module:
        """For N x C x H x W features. Whole channels: a pixel's neighbours still tell what was dropped of it
        alone, and drawing every element makes this layer fifteen times slower in training. The authors' code
        drops elements."""
        return nn.Dropout2d(self.dropout) if self.drops_channels else nn.Dropout(self.dropout)
