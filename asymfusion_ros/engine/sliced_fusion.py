"""The asymmetric fusion made cheap for inference: slices of what is there, no padded and joined copies.

Fusion has no arithmetic but one addition an element; in eager torch its copies took 13 % of the time of a
small network.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from asymfusion_ros.network import SegmentationNetwork
from asymfusion_ros.network.fusion.asymmetric import AsymmetricFusion, Offset
from asymfusion_ros.network.fusion.base import Fusion, Spatial
from asymfusion_ros.network.fusion.routing import Senders, mean_of, received, senders_along
from asymfusion_ros.network.layers.norms import Available


class SlicedFusion(Fusion):
    """What an AsymmetricFusion computes, without gradients. It overwrites its input and what ``spatial``
    returns where ``overwrites`` is set, else copies of them. A graph that is exported is the original's."""

    def __init__(self, fusion: AsymmetricFusion, overwrites: bool) -> None:
        super().__init__()
        self.fusion = fusion
        self.overwrites = overwrites

    def forward(self, x: Tensor, spatial: Spatial, available: Available) -> Tensor:
        """See AsymmetricFusion."""
        if len(available) == 1 or torch.compiler.is_compiling():
            return self.fusion(x, spatial, available)
        senders = senders_along(self.fusion.route, available)
        x = self._exchanged(self._own(x), senders)
        after = self._own(spatial(x))
        if self.fusion.adds:
            before = x if x.shape == after.shape else after.clone()
            self._add_shifted(after, before, senders)
        return self._exchanged(after, senders)

    def _own(self, x: Tensor) -> Tensor:
        return x if self.overwrites else x.clone()

    def _exchanged(self, x: Tensor, senders: Senders) -> Tensor:
        """Eq. 2, in place."""
        if self.fusion.shuffles:
            kept = self.fusion.kept_of(x.shape[1])
            x[:, kept:] = received(x[:, kept:], senders, otherwise_zero=False)
        return x

    def _add_shifted(self, x: Tensor, before: Tensor, senders: Senders) -> None:
        """Eq. 3 and 4, in place: pixels that would come from beyond the border add nothing."""
        bounds, offsets = self.fusion.bounds, self.fusion.offsets
        if len(set(offsets)) == 1:
            bounds, offsets = (bounds[0], bounds[-1]), offsets[:1]
        parts = before.chunk(len(senders))
        for own, places in zip(x.chunk(len(senders)), senders):
            if places:
                arriving = mean_of(parts, places)
                for start, end, offset in zip(bounds, bounds[1:], offsets):
                    to, source = _overlap(x.shape[-2:], offset)
                    own[:, start:end, to[0], to[1]] += arriving[:, start:end, source[0], source[1]]


Slices = tuple[slice, slice]


def _overlap(size: Sequence[int], offset: Offset) -> tuple[Slices, Slices]:
    """The pixels that read one within the image, and those that they read."""
    to, source = [], []
    for length, step in zip(size, offset):
        start, end = max(0, -step), max(0, length - max(0, step))
        to.append(slice(start, max(start, end)))
        source.append(slice(start + step, max(start, end) + step))
    return (to[0], to[1]), (source[0], source[1])


def slice_fusions(network: SegmentationNetwork) -> None:
    """Replaces every AsymmetricFusion of ``network``, which afterwards can only infer."""
    _replace(network.encoder, network.encoder.fusions_own)


def _replace(module: nn.Module, overwrites: bool) -> None:
    for name, child in module.named_children():
        if type(child) is AsymmetricFusion:
            module.add_module(name, SlicedFusion(child, overwrites))
        else:
            _replace(child, overwrites)
