"""Feature exchange between the modalities inside the encoder (Section 3.2 of the paper).

Channel shuffle and pixel shift, which have no parameters. Tensors hold P modalities stacked along the batch,
(P N) x C x H x W.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.network.fusion.adjoint import linear, sent_back
from asymfusion_ros.network.fusion.base import Fusion, Spatial
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.routing import Senders, received, senders_along
from asymfusion_ros.network.layers.norms import Available

Offset = tuple[int, int]

# (dh, dw) that a group of channels reads its pixel from, in the groups' order.
PAPER_OFFSETS: tuple[Offset, ...] = ((0, -1), (-1, 0), (0, 1), (1, 0))
RELEASED_OFFSETS: tuple[Offset, ...] = ((-1, 0), (0, -1), (0, 1), (1, 0))


def split_point(channels: int, keep: float) -> int:
    """T of Eq. 2: how many of the channels a modality keeps, from 1 to channels - 1."""
    return min(max(int(keep * channels + 0.5), 1), channels - 1)


def channel_shuffle(x: Tensor, senders: Senders, kept: int) -> Tensor:
    """Eq. 2: the first ``kept`` channels stay, the rest is exchanged for the senders' same-indexed ones."""
    return torch.cat([x[:, :kept], received(x[:, kept:], senders, otherwise_zero=False)], dim=1)


def pixel_shift(x: Tensor, bounds: Sequence[int], offsets: Sequence[Offset] = PAPER_OFFSETS) -> Tensor:
    """Eq. 3: group g, channels bounds[g] to bounds[g + 1], reads its pixels from (h + dh, w + dw).

    Pixels beyond the border read zero. Channels after the last bound, if any, become zero.
    """
    groups = []
    for start, end, (dh, dw) in zip(bounds, bounds[1:], offsets):
        # A negative pad crops: one row or column of zeros comes in, the opposite one goes out.
        groups.append(F.pad(x[:, start:end], (-dw, dw, -dh, dh)))
    if bounds[-1] < x.shape[1]:
        groups.append(torch.zeros_like(x[:, bounds[-1] :]))
    return torch.cat(groups, dim=1)


def paper_groups(channels: int) -> tuple[int, ...]:
    """Bounds of four equal groups; where 4 does not divide C, group g begins at floor(g C / 4)."""
    return tuple(i * channels // 4 for i in range(5))


class AsymmetricFusion(Fusion):
    """Shuffle and shift inside one residual block (Fig. 3c); the identity where one modality is available.

    The ablations leave out the shuffles, or what is added; without the shift it is added as it is.
    """

    def __init__(
        self,
        config: FusionConfig,
        channels: int,
        stage: int = 1,
        shuffles: bool = True,
        adds: bool = True,
        shifts: bool = True,
    ) -> None:
        super().__init__()
        self.route = config.route
        self.adds = adds
        self.shuffles = shuffles
        self.config = config
        if config.variant == "released":
            group = channels // 5
            self.bounds: tuple[int, ...] = tuple(i * group for i in range(5))
            self.offsets = RELEASED_OFFSETS
        else:
            self.bounds = paper_groups(channels)
            self.offsets = PAPER_OFFSETS
        self.kept = self.kept_of(channels) if shuffles else None
        if not shifts:
            self.offsets = ((0, 0),) * 4

    def forward(self, x: Tensor, spatial: Spatial, available: Available) -> Tensor:
        """Shuffle; the spatial convolution; add what the others had before it, shifted (Eq. 4); shuffle.

        Where that convolution changes the shape, what it makes of the others is shifted and added."""
        if len(available) == 1:
            return spatial(x)
        senders = senders_along(self.route, available)
        x = self._shuffle(x, senders)
        after = spatial(x)
        before = x if x.shape == after.shape else after
        return self._shuffle(self._add_shifted(after, before, senders), senders)

    def kept_of(self, channels: int) -> int:
        """How many of so many channels stay with their modality where they are exchanged."""
        if self.config.variant == "released":
            return 4 * (channels // 5)
        return split_point(channels, self.config.keep)

    def _shuffle(self, x: Tensor, senders: Senders) -> Tensor:
        if not self.shuffles:
            return x
        kept = self.kept_of(x.shape[1])

        def back(gradient: Tensor) -> Tensor:
            exchanged = sent_back(gradient[:, kept:], senders, otherwise_zero=False)
            return torch.cat([gradient[:, :kept], exchanged], dim=1)

        return linear(x, lambda x: channel_shuffle(x, senders, kept), back)

    def _add_shifted(self, x: Tensor, before: Tensor, senders: Senders) -> Tensor:
        if not self.adds:
            return x

        def arriving(before: Tensor) -> Tensor:
            return received(pixel_shift(before, self.bounds, self.offsets), senders, otherwise_zero=True)

        def back(gradient: Tensor) -> Tensor:
            opposite = [(-dh, -dw) for dh, dw in self.offsets]
            return pixel_shift(sent_back(gradient, senders, otherwise_zero=True), self.bounds, opposite)

        return x + linear(before, arriving, back)

    def additions(self, channels: int, senders: int) -> int:
        """One for each element that is shifted; exchanging channels copies and costs none. Where n > 1
        modalities send, their mean costs n an element more (n - 1 additions and the division), for shifted
        and exchanged channels alike."""
        mean = senders if senders > 1 else 0
        exchanged = 0 if self.kept is None else 2 * mean * (channels - self.kept)
        return exchanged + ((1 + mean) * (self.bounds[-1] - self.bounds[0]) if self.adds else 0)

    def extra_repr(self) -> str:
        """What ``repr`` shows of it."""
        return f"adds={self.adds}, kept={self.kept}, offsets={self.offsets}"
