"""The symmetric baselines of Section 3.2: average, concatenation, attention (SSMA) and MMF (RDFNet).

Each is an F(x1, x2; theta) of a modality's own features and those it receives, with a theta of its own for
every modality that receives, and stands once in a block, before its last 1 x 1 convolution. None has norms:
the block's own follow.

A random F between two pretrained layers would destroy what they know. So each starts as the average of its
two inputs, from which it learns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.fusion.base import Fusion, Spatial
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.routing import mean_of, senders_along
from asymfusion_ros.network.layers.norms import Available
from asymfusion_ros.network.layers.per_modality import PerModality


class Average(nn.Module):
    """(x1 + x2) / 2."""

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        return (own + other) / 2


class Concat(nn.Module):
    """Both side by side, and a 1 x 1 convolution back to C channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(2 * channels, channels, 1, bias=False)
        _pass_on(self.project, 0.5)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        return self.project(torch.cat([own, other], dim=1))


class Attention(nn.Module):
    """SSMA (Valada et al. 2019): each pixel and channel of both is weighed, then projected to C channels.

    Concatenation z, gate s = sigmoid(up(ReLU(down(z)))) with 2 C / eta channels in between, project(s z);
    all three are 3 x 3. SSMA ends in a norm, which is left out: the block's own 1 x 1 and norm follow.
    """

    def __init__(self, channels: int, eta: int) -> None:
        super().__init__()
        both = 2 * channels
        narrow = max(int(both / eta + 0.5), 1)
        self.down = nn.Conv2d(both, narrow, 3, padding=1)
        self.up = nn.Conv2d(narrow, both, 3, padding=1)
        self.project = nn.Conv2d(both, channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.down.weight, nonlinearity="relu")
        nn.init.zeros_(self.down.get_parameter("bias"))
        # A gate of 1/2 for everything, which the projection then only has to add up.
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.get_parameter("bias"))
        _pass_on(self.project, 1.0)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        both = torch.cat([own, other], dim=1)
        gate = torch.sigmoid(self.up(F.relu(self.down(both), inplace=True)))
        return self.project(gate * both)


class ConvUnit(nn.Module):
    """x + 3 x 3(ReLU(3 x 3(ReLU(x)))); starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.conv1.weight, nonlinearity="relu")
        nn.init.zeros_(self.conv1.get_parameter("bias"))
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x)), inplace=True))


class Mmf(nn.Module):
    """RDFNet's multi-modal feature fusion (Park et al. 2017).

    Each input: dropout, 1 x 1 to ``width`` channels, two residual units, 3 x 3. Their sum y = ReLU(sum) is
    pooled: y + 3 x 3(5 x 5 max-pool(y)). Where ``width`` is less than C, a last 1 x 1 brings C back.

    Starts as the average where the features are rectified, as they are at its place in every block but one
    of two 3 x 3 convolutions: there as the rectified average. Where ``width`` is less than C it cannot: it
    starts as the average in which neighbouring channels share one of ``width`` values, their mean.
    """

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.own = self._branch(channels, width, dropout)
        self.other = self._branch(channels, width, dropout)
        self.pool = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.zeros_(self.pool.weight)
        self.expand = nn.Conv2d(width, channels, 1, bias=False) if width < channels else None
        if self.expand is not None:
            _fill(self.expand, _grouping(width, channels).t())

    @staticmethod
    def _branch(channels: int, width: int, dropout: float) -> nn.Sequential:
        reduce = nn.Conv2d(channels, width, 1, bias=False)
        _fill(reduce, _grouping(width, channels))
        adapt = nn.Conv2d(width, width, 3, padding=1, bias=False)
        _pass_on(adapt, 0.5)
        return nn.Sequential(nn.Dropout(dropout), reduce, ConvUnit(width), ConvUnit(width), adapt)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        x = F.relu(self.own(own) + self.other(other), inplace=True)
        x = x + self.pool(F.max_pool2d(x, 5, 1, 2))
        return x if self.expand is None else self.expand(x)


@torch.no_grad()
def _pass_on(convolution: nn.Conv2d, factor: float) -> None:
    """Makes each output ``factor`` times the sum of the inputs that are its own channel, modulo C."""
    outputs, inputs = convolution.weight.shape[:2]
    middle = convolution.kernel_size[0] // 2
    channel = torch.arange(inputs)
    convolution.weight.zero_()
    convolution.weight[channel % outputs, channel, middle, middle] = factor


@torch.no_grad()
def _fill(convolution: nn.Conv2d, matrix: Tensor) -> None:
    """Makes a 1 x 1 convolution multiply by ``matrix``, outputs x inputs."""
    convolution.weight.copy_(matrix[:, :, None, None])


def _grouping(width: int, channels: int) -> Tensor:
    """width x C, rows orthonormal and not negative: the C channels in ``width`` groups of neighbours."""
    group = torch.arange(channels) * width // channels
    member = (torch.arange(width)[:, None] == group).float()
    return member / member.sum(1, keepdim=True).sqrt()


# One F for a block of a stage, in the dimensions that SSMA and RDFNet give it there.
MakeBlock = Callable[[FusionConfig, int, int], nn.Module]


def average(config: FusionConfig, channels: int, stage: int) -> Average:
    """(x1 + x2) / 2, everywhere."""
    return Average()


def concat(config: FusionConfig, channels: int, stage: int) -> Concat:
    """Concatenation, everywhere."""
    return Concat(channels)


def attention(config: FusionConfig, channels: int, stage: int) -> Attention:
    """SSMA: narrowed by 6 where the decoder reads the stage as a skip, else by 16."""
    return Attention(channels, eta=6 if stage in config.skips else 16)


def mmf(config: FusionConfig, channels: int, stage: int) -> Mmf:
    """RDFNet works at 256 channels, 512 at the coarsest stage, and never at more than there are."""
    return Mmf(channels, min(channels, 512 if stage == config.coarsest else 256), config.dropout)


class SymmetricFusion(Fusion):
    """One baseline inside one residual block: every receiving modality i becomes F(x_i, mean of its senders).

    A modality without senders keeps its features; one that never receives has no parameters.
    """

    def __init__(self, config: FusionConfig, channels: int, stage: int, block: MakeBlock) -> None:
        super().__init__()
        self.route = config.route
        targets = range(config.modalities) if self.route is None else self.route[1:]
        self.blocks = PerModality(targets, lambda: block(config, channels, stage))

    def forward(self, x: Tensor, spatial: Spatial, available: Available) -> Tensor:
        """The baselines fuse once, after the spatial convolution."""
        x, senders = spatial(x), senders_along(self.route, available)
        if not any(senders):
            return x
        parts = x.chunk(len(available))
        return torch.cat(
            [
                self.blocks.of(modality)(own, mean_of(parts, places)) if places else own
                for modality, own, places in zip(available, parts, senders)
            ]
        )

    def additions(self, channels: int, senders: int) -> int | None:
        """``average`` adds and halves: two an element, and n more for a mean of n > 1 senders."""
        block = next(iter(self.blocks.values()))
        return (2 + (senders if senders > 1 else 0)) * channels if isinstance(block, Average) else None
