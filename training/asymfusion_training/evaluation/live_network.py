"""A network that is being trained, scored as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from asymfusion_ros.network import NetworkOutput, SegmentationNetwork


class LiveNetwork:
    """A network in evaluation mode as a Backend: nothing folded, float32, where it is."""

    name = "live"
    precision = "fp32"
    precision_reason = "as it is trained"

    def __init__(self, network: SegmentationNetwork) -> None:
        self.network = network

    @property
    def device(self) -> torch.device:
        """The network's."""
        return next(self.network.parameters()).device

    def __call__(self, inputs: Mapping[str, Tensor | None]) -> Tensor:
        """See Backend."""
        return self.outputs(inputs).ensemble

    def outputs(self, inputs: Mapping[str, Tensor | None]) -> NetworkOutput:
        """See Backend."""
        given = [inputs.get(name) for name in self.network.config.modalities]
        with torch.inference_mode():
            return self.network(
                [None if x is None else x.contiguous(memory_format=torch.channels_last) for x in given]
            )


@contextmanager
def live(network: SegmentationNetwork) -> Iterator[LiveNetwork]:
    """The network as a backend; it comes back in the mode that it was in."""
    was_training = network.training
    network.eval()
    try:
        yield LiveNetwork(network)
    finally:
        network.train(was_training)
