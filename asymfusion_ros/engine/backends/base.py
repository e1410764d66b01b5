"""What the Segmenter asks of whatever runs the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

from asymfusion_ros.network import NetworkOutput

Inputs = Mapping[str, Tensor | None]


class Backend(Protocol):
    """A network ready to infer. Not for several threads at once.

    name: what runs the network, as in BACKENDS. device: where its inputs are to be, and its outputs are.
    precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``. precision_reason: why that one.
    """

    @property
    def name(self) -> str:
        """What runs the network: ``torch``, ..., as in BACKENDS."""

    @property
    def device(self) -> torch.device:
        """Where inputs are to be, and outputs are."""

    @property
    def precision(self) -> str:
        """``fp32``, ``fp16``, ``bf16`` or ``int8``."""

    @property
    def precision_reason(self) -> str:
        """Why it computes in that, in a few words."""

    def __call__(self, inputs: Inputs) -> Tensor:
        """Each modality's N x 3 x h x w, None (or no entry) where it is absent -> the ensemble's logits,
        N x K x h' x w', at the decoder's resolution."""

    def outputs(self, inputs: Inputs) -> NetworkOutput:
        """The same inputs -> the logits of every modality and of the ensemble."""
