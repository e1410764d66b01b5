"""Feature exchange between the modalities inside the encoder (Section 3.2 of the paper).

Channel shuffle and pixel shift, which have no parameters, and the choice of a method by its name; the
symmetric baselines are in symmetric.py. Tensors hold P modalities stacked along the batch,
(P N) x C x H x W.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.fusion.routing import Senders, received, senders_along
from asymfusion_ros.network.fusion.symmetric import METHODS, SymmetricFusion
from asymfusion_ros.network.layers.modality import Present

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


class Fusion(nn.Module):
    """Shuffle and shift inside one residual block (Fig. 3c); the identity where one modality is present.

    A block calls ``enter`` after its first convolution (with norm and activation) and ``leave`` after its
    spatial one, before the last 1 x 1.
    """

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        self.route = config.route
        self.shuffles = config.fusion in ("shuffle", "asymmetric", "skip")
        self.adds = config.fusion in ("shift", "asymmetric", "skip")
        if config.variant == "released":
            group = channels // 5
            self.kept = 4 * group
            self.bounds: tuple[int, ...] = tuple(i * group for i in range(5))
            self.offsets = RELEASED_OFFSETS
        else:
            self.kept = split_point(channels, config.keep)
            self.bounds = paper_groups(channels)
            self.offsets = PAPER_OFFSETS
        if config.fusion == "skip":
            self.offsets = ((0, 0),) * 4

    def enter(self, x: Tensor, present: Present) -> Tensor:
        """The first shuffle."""
        if not self.shuffles or len(present) == 1:
            return x
        return channel_shuffle(x, senders_along(self.route, present), self.kept)

    def leave(self, x: Tensor, entered: Tensor, present: Present) -> Tensor:
        """Adds what the others had after ``enter``, shifted (Eq. 4), then shuffles once more."""
        if len(present) == 1:
            return x
        senders = senders_along(self.route, present)
        if self.adds:
            x = x + received(pixel_shift(entered, self.bounds, self.offsets), senders, otherwise_zero=True)
        if self.shuffles:
            x = channel_shuffle(x, senders, self.kept)
        return x

    def extra_repr(self) -> str:
        return f"shuffles={self.shuffles}, adds={self.adds}, kept={self.kept}, offsets={self.offsets}"


def make_fusion(config: NetworkConfig, channels: int, stage: int) -> Fusion | SymmetricFusion:
    """What ``config.fusion`` names, for a block of a stage (from 1) with so many channels between its
    convolutions."""
    if config.fusion in METHODS:
        return SymmetricFusion(config, channels, stage)
    return Fusion(config, channels)
