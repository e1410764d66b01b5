"""The symmetric baselines of Section 3.2: average, concatenation, attention (SSMA) and MMF (RDFNet).

Each is an F(x1, x2; theta) of a modality's own features and those it receives, with a theta of its own for
every modality that receives, and stands once in a block, before its last 1 x 1 convolution. None has norms:
the block's own follow.

A random F between two pretrained layers would destroy what they know. So each starts as the average of its
two inputs, from which it learns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.fusion.placement import is_coarsest, is_skip
from asymfusion_ros.network.fusion.routing import mean_of, senders_along
from asymfusion_ros.network.layers.modality import PerModality, Present


class Average(nn.Module):
    """(x1 + x2) / 2."""

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        return (own + other) / 2


class Concat(nn.Module):
    """Both side by side, and a 1 x 1 convolution back to C channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(2 * channels, channels, 1, bias=False)
        _pass_on(self.project, 0.5)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
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


METHODS = ("average", "concat", "attention", "mmf")


def _block(config: NetworkConfig, channels: int, stage: int) -> nn.Module:
    """One F for a block of a stage, in the dimensions that SSMA and RDFNet give it there."""
    if config.fusion == "average":
        return Average()
    if config.fusion == "concat":
        return Concat(channels)
    if config.fusion == "attention":
        return Attention(channels, eta=6 if is_skip(config, stage) else 16)
    width = min(channels, 512 if is_coarsest(config, stage) else 256)
    return Mmf(channels, width, config.dropout)


class SymmetricFusion(nn.Module):
    """One baseline inside one residual block: every receiving modality i becomes F(x_i, mean of its senders).

    A modality without senders keeps its features; one that never receives has no parameters.
    """

    def __init__(self, config: NetworkConfig, channels: int, stage: int) -> None:
        super().__init__()
        self.route = config.route
        targets = range(len(config.modalities)) if self.route is None else self.route[1:]
        self.blocks = PerModality(targets, lambda: _block(config, channels, stage))

    def enter(self, x: Tensor, present: Present) -> Tensor:
        """Nothing: the baselines fuse once."""
        return x

    def leave(self, x: Tensor, entered: Tensor, present: Present) -> Tensor:
        """(P N) x C x H x W -> the same shape, fused."""
        senders = senders_along(self.route, present)
        if not any(senders):
            return x
        parts = x.chunk(len(present))
        return torch.cat(
            [
                self.blocks.of(modality)(own, mean_of(parts, places)) if places else own
                for modality, own, places in zip(present, parts, senders)
            ]
        )


def fusion_tensors(encoder: nn.Module) -> set[str]:
    """Names of the tensors in an encoder's state dict that belong to its symmetric fusions."""
    return {
        f"{place}.{name}"
        for place, module in encoder.named_modules()
        if isinstance(module, SymmetricFusion)
        for name in module.state_dict()
    }
