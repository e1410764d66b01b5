"""What is shared and what is private to a modality (Section 3.1 of the paper).

Every module below takes the S modalities *stacked along the batch*: S x N samples in one tensor, the N
samples of the first modality first. A shared convolution then is an ordinary one and sees all of them at
once; only the batch norm has to know which rows belong to which modality. ``present`` names the
modalities in the stack, as indices into ``NetworkConfig.modalities``: one that is absent is just not there.
With individual convolutions (a baseline of Table 4) a PerModality stands in a convolution's place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.config import NetworkConfig

Present = tuple[int, ...]
ALONE = ("alone_mean", "alone_var", "alone_known")


class PrivateBatchNorm2d(nn.Module):
    """Batch norm with statistics, scale and bias of its own for each modality (Eq. 1).

    Parameters and buffers are S x C. With ``private=False`` (a baseline of Table 4) they are 1 x C and
    the statistics are taken over all modalities together.

    A modality that is alone receives no features from the others, so what its norms see after a fusion
    block is distributed otherwise: ``alone_mean`` and ``alone_var`` hold the running statistics of that
    case. Training steps with one modality present fill them; ``alone_known`` (S x 1) is 1 for a modality
    that has had such a step, and until then the common statistics serve.

    ``synced``: in training, statistics are those of all processes' batches together, each modality's apart.
    """

    running_mean: Tensor
    running_var: Tensor
    alone_mean: Tensor
    alone_var: Tensor
    alone_known: Tensor

    def __init__(
        self, channels: int, modalities: int, private: bool = True, eps: float = 1e-5, momentum: float = 0.1
    ) -> None:
        super().__init__()
        rows = modalities if private else 1
        self.private = private
        self.eps = eps
        self.momentum = momentum
        self.synced = False
        self.weight = nn.Parameter(torch.ones(rows, channels))
        self.bias = nn.Parameter(torch.zeros(rows, channels))
        self.register_buffer("running_mean", torch.zeros(rows, channels))
        self.register_buffer("running_var", torch.ones(rows, channels))
        self.tells_alone = rows > 1
        if self.tells_alone:
            self.register_buffer("alone_mean", torch.zeros(rows, channels))
            self.register_buffer("alone_var", torch.ones(rows, channels))
            self.register_buffer("alone_known", torch.zeros(rows, 1))

    def forward(self, x: Tensor, present: Present) -> Tensor:
        """(P N) x C x H x W with P = len(present) -> the same shape."""
        if not self.private:
            return self._norm(x, 0, False)
        if len(present) == 1:
            return self._norm(x, present[0], self.tells_alone)
        if self.training:
            return torch.cat([self._norm(part, s, False) for part, s in zip(x.chunk(len(present)), present)])
        # One pass over the whole stack, where a norm for each part would need a copy to join them.
        rows = list(present)
        scale, shift = (table[rows] for table in self.affine())
        shape = (len(present), 1, x.shape[1], 1, 1)
        parts = x.unflatten(0, (len(present), -1))
        scale, shift = (row.view(shape).to(x.dtype) for row in (scale, shift))
        return torch.addcmul(shift, parts, scale).flatten(0, 1)

    def statistics(self, alone: bool = False) -> tuple[Tensor, Tensor]:
        """(mean, variance), S x C each, that evaluation uses with a modality alone or in company."""
        if not (alone and self.tells_alone):
            return self.running_mean, self.running_var
        known = self.alone_known > 0
        return (
            torch.where(known, self.alone_mean, self.running_mean),
            torch.where(known, self.alone_var, self.running_var),
        )

    def affine(self, alone: bool = False) -> tuple[Tensor, Tensor]:
        """(scale, shift), S x C each: in evaluation the norm is ``x * scale + shift``."""
        mean, variance = self.statistics(alone)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return scale, self.bias - mean * scale

    def _norm(self, x: Tensor, row: int, alone: bool) -> Tensor:
        if self.training and alone:
            self._begin_alone(row)
            mean, variance = self.alone_mean, self.alone_var
        else:
            mean, variance = self.statistics(alone)
        if self.training and self.synced:
            return synced_batch_norm(
                x, mean[row], variance[row], self.weight[row], self.bias[row], self.momentum, self.eps
            )
        return F.batch_norm(
            x,
            mean[row],
            variance[row],
            self.weight[row],
            self.bias[row],
            self.training,
            self.momentum,
            self.eps,
        )

    def begin_alone(self) -> None:
        """Every modality's statistics alone begin now, at those in company. Averaged weights need it: what
        they average has to mean the same from the first step on."""
        if self.tells_alone:
            for row in range(len(self.weight)):
                self._begin_alone(row)

    @torch.no_grad()
    def _begin_alone(self, row: int) -> None:
        """The running statistics of a modality alone begin at those of the modality in company."""
        for table, start in zip((self.alone_mean, self.alone_var), self.statistics(alone=True)):
            table[row] = start[row]
        self.alone_known[row] = 1

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        if self.tells_alone:
            for name in ALONE:
                state_dict.setdefault(prefix + name, torch.zeros_like(getattr(self, name)))
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def extra_repr(self) -> str:
        rows, channels = self.weight.shape
        return f"{channels}, modalities={rows}, private={self.private}, eps={self.eps}"


def may_be_missing(name: str) -> bool:
    """Whether a state dict without this tensor is whole: statistics of a modality alone are optional."""
    return name.rpartition(".")[2] in ALONE


class _SumOverProcesses(torch.autograd.Function):
    """All-reduce that gradients flow through. A robot's torch may be built without torch.distributed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total


def synced_batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    momentum: float,
    eps: float,
) -> Tensor:
    """Batch norm over the batches of all processes of the default group, for training on any device.

    Gradients flow through the sums that the processes exchange. torch's SyncBatchNorm knows one set of
    statistics and GPUs alone.
    """
    values = x.float()
    channels = x.shape[1]
    sums = torch.cat(
        [values.sum((0, 2, 3)), values.square().sum((0, 2, 3)), values.new_full((1,), x.numel() // channels)]
    )
    sums = _SumOverProcesses.apply(sums)
    count = sums[-1]
    mean = sums[:channels] / count
    variance = (sums[channels:-1] / count - mean.square()).clamp(min=0)
    with torch.no_grad():
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(variance * (count / (count - 1)), momentum)
    scale = weight * torch.rsqrt(variance + eps)
    shift = bias - mean * scale
    return torch.addcmul(shift.view(1, -1, 1, 1), values, scale.view(1, -1, 1, 1)).to(x.dtype)


def stack(inputs: list[Tensor]) -> Tensor:
    """P tensors of N x C x H x W -> one of (P N) x C x H x W."""
    return inputs[0] if len(inputs) == 1 else torch.cat(inputs)


class PerModality(nn.ModuleDict):
    """A module of its own for each modality, or for some; the keys are their indices."""

    def __init__(self, modalities: Iterable[int], make: Callable[[], nn.Module]) -> None:
        super().__init__({str(modality): make() for modality in modalities})

    def of(self, modality: int) -> nn.Module:
        return self[str(modality)]

    def forward(self, x: Tensor, present: Present) -> Tensor:
        """(P N) x C x H x W -> the same number of rows, each through its own modality's module."""
        return stack([self.of(s)(part) for s, part in zip(present, x.chunk(len(present)))])


def shared_or_own(config: NetworkConfig, make: Callable[[], nn.Module]) -> nn.Module:
    """What ``make`` builds, once for all modalities, or, with individual convolutions, for each."""
    return make() if config.shared_convs else PerModality(range(len(config.modalities)), make)


def convolve(layer: nn.Module, x: Tensor, present: Present) -> Tensor:
    """Applies a layer of ``shared_or_own`` to a stack of the modalities present."""
    return layer(x, present) if isinstance(layer, PerModality) else layer(x)


def owned(network: nn.Module) -> dict[str, tuple[str, int, str]]:
    """The tensors that belong to one modality alone, but for the norms' rows.

    Name in the state dict -> (name of its PerModality, modality, name within the modality's module).
    """
    found = {}
    for container, module in network.named_modules():
        if isinstance(module, PerModality):
            for modality in module:
                for name in module[modality].state_dict():
                    found[f"{container}.{modality}.{name}"] = (container, int(modality), name)
    return found
