"""Image translation, the paper's second task: the same encoder scheme, and a decoder that makes images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network.encoders.registry import ENCODERS
from asymfusion_ros.network.output import NetworkOutput
from asymfusion_ros.network.segmentation import SegmentationNetwork


@dataclass(frozen=True)
class TranslationOutput(NetworkOutput):
    """What a forward pass gives: images of -1 to 1, N x 3 x H x W as the inputs, in the logits' place."""

    @property
    def images(self) -> tuple[Tensor | None, ...]:
        """One for each domain, None where it was missing."""
        return self.logits


class TranslationNetwork(SegmentationNetwork):
    """The same encoder, decoder and ensemble over the domains that are there; what they make are images."""

    def forward(
        self, inputs: Sequence[Tensor | None], branches: bool = True, once: bool = False
    ) -> TranslationOutput:
        """One N x 3 x H x W tensor a domain (float, normalised), None for one that is missing; H and W are
        multiples of the coarsest stride, 256. Raises ConfigError for others."""
        stride = ENCODERS[self.config.encoder].strides[-1]
        for x in inputs:
            if x is not None and (x.shape[-2] % stride or x.shape[-1] % stride):
                raise ConfigError(
                    f"the inputs are {x.shape[-1]}x{x.shape[-2]}; {self.config.encoder} takes multiples of "
                    f"{stride} pixels: resize them"
                )
        output = super().forward(inputs, branches, once)
        return TranslationOutput(output.logits, output.ensemble, output.weights)
