"""What is shared and what is private to a modality (Section 3.1 of the paper).

Every module below takes the S modalities *stacked along the batch*: S x N samples in one tensor, the N
samples of the first modality first. A shared convolution then is an ordinary one and sees all of them at
once; only the batch norm has to know which rows belong to which modality. ``present`` names the
modalities in the stack, as indices into ``NetworkConfig.modalities``: one that is absent is just not there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Present = tuple[int, ...]


class PrivateBatchNorm2d(nn.Module):
    """Batch norm with statistics, scale and bias of its own for each modality (Eq. 1).

    Parameters and buffers are S x C. With ``private=False`` (a baseline of Table 4) they are 1 x C and
    the statistics are taken over all modalities together.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self, channels: int, modalities: int, private: bool = True, eps: float = 1e-5, momentum: float = 0.1
    ) -> None:
        super().__init__()
        rows = modalities if private else 1
        self.private = private
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(rows, channels))
        self.bias = nn.Parameter(torch.zeros(rows, channels))
        self.register_buffer("running_mean", torch.zeros(rows, channels))
        self.register_buffer("running_var", torch.ones(rows, channels))

    def forward(self, x: Tensor, present: Present) -> Tensor:
        """(P N) x C x H x W with P = len(present) -> the same shape."""
        if not self.private:
            return self._norm(x, 0)
        if len(present) == 1:
            return self._norm(x, present[0])
        if self.training:
            return torch.cat([self._norm(part, s) for part, s in zip(x.chunk(len(present)), present)])
        # One pass over the whole stack, where a norm for each part would need a copy to join them.
        rows = list(present)
        scale, shift = (table[rows] for table in self.affine())
        shape = (len(present), 1, x.shape[1], 1, 1)
        parts = x.unflatten(0, (len(present), -1))
        scale, shift = (row.view(shape).to(x.dtype) for row in (scale, shift))
        return torch.addcmul(shift, parts, scale).flatten(0, 1)

    def affine(self) -> tuple[Tensor, Tensor]:
        """(scale, shift), S x C each: in evaluation the norm is ``x * scale + shift``."""
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale, self.bias - self.running_mean * scale

    def _norm(self, x: Tensor, row: int) -> Tensor:
        return F.batch_norm(
            x,
            self.running_mean[row],
            self.running_var[row],
            self.weight[row],
            self.bias[row],
            self.training,
            self.momentum,
            self.eps,
        )

    def extra_repr(self) -> str:
        rows, channels = self.weight.shape
        return f"{channels}, modalities={rows}, private={self.private}, eps={self.eps}"


def stack(inputs: list[Tensor]) -> Tensor:
    """P tensors of N x C x H x W -> one of (P N) x C x H x W."""
    return inputs[0] if len(inputs) == 1 else torch.cat(inputs)


def initialise(encoder: nn.Module) -> None:
    """He initialisation of every convolution of an encoder, where a norm follows each."""
    for part in encoder.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
