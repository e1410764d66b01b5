"""Batch norm that is private to a modality (Section 3.1 of the paper)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The modalities in a stack, as indices into the network's list of them.
Available = tuple[int, ...]
ALONE = ("alone_mean", "alone_var", "alone_known")


class PrivateBatchNorm2d(nn.Module):
    """Batch norm with statistics, scale and bias of its own for each modality (Eq. 1).

    Parameters and buffers are S x C. With ``private=False`` (a baseline of Table 4) they are 1 x C and
    the statistics are taken over all modalities together.

    A modality that is alone receives no features from the others, so what its norms see after a fusion
    block is distributed otherwise: ``alone_mean`` and ``alone_var`` hold the running statistics of that
    case. Training steps with one modality available fill them; ``alone_known`` (S x 1) is 1 for a modality
    that has had such a step, and until then the common statistics serve.

    ``batch_norm`` computes one modality's share, with the arguments of ``torch.nn.functional.batch_norm``:
    whoever trains can put another in its place, one over several processes for example.
    """

    running_mean: Tensor
    running_var: Tensor
    alone_mean: Tensor
    alone_var: Tensor
    alone_known: Tensor

    def __init__(
        self,
        channels: int,
        modalities: int,
        private: bool = True,
        eps: float = 1e-5,
        momentum: float = 0.1,
        tells_alone: bool = True,
    ) -> None:
        """tells_alone: False where nothing is exchanged: a modality alone then is as in company."""
        super().__init__()
        rows = modalities if private else 1
        self.private = private
        self.eps = eps
        self.momentum = momentum
        self.batch_norm: Callable[..., Tensor] = F.batch_norm
        self.weight = nn.Parameter(torch.ones(rows, channels))
        self.bias = nn.Parameter(torch.zeros(rows, channels))
        self.register_buffer("running_mean", torch.zeros(rows, channels))
        self.register_buffer("running_var", torch.ones(rows, channels))
        self.tells_alone = tells_alone and rows > 1
        if self.tells_alone:
            self.register_buffer("alone_mean", torch.zeros(rows, channels))
            self.register_buffer("alone_var", torch.ones(rows, channels))
            self.register_buffer("alone_known", torch.zeros(rows, 1))

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x H x W with P = len(available) -> the same shape."""
        if not self.private:
            return self._norm(x, 0, False)
        if len(available) == 1:
            return self._norm(x, available[0], self.tells_alone)
        if self.training:
            return torch.cat(
                [self._norm(part, s, False) for part, s in zip(x.chunk(len(available)), available)]
            )
        # One pass over the whole stack, where a norm for each part would need a copy to join them.
        rows = list(available)
        scale, shift = (table[rows] for table in self.affine())
        shape = (len(available), 1, x.shape[1], 1, 1)
        parts = x.unflatten(0, (len(available), -1))
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
        return self.batch_norm(
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
        """What ``repr`` shows of it."""
        rows, channels = self.weight.shape
        return f"{channels}, modalities={rows}, private={self.private}, eps={self.eps}"


def may_be_missing(name: str) -> bool:
    """Whether a state dict without this tensor is whole: statistics of a modality alone are optional."""
    return name.rpartition(".")[2] in ALONE


def is_variance(name: str) -> bool:
    """Whether a state dict's tensor holds running variances."""
    return name.rpartition(".")[2] in ("running_var", "alone_var")
