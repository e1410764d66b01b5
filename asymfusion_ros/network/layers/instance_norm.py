"""Instance norm that is private to a modality: what CEN's translation uses in place of batch norm."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.layers.norms import Available


class PrivateInstanceNorm2d(nn.Module):
    """Each sample and channel by its own mean and variance, then a modality's own scale and bias, S x C.

    With ``private=False`` they are 1 x C. Training and evaluation compute the same.
    """

    def __init__(self, channels: int, modalities: int, private: bool = True, eps: float = 1e-5) -> None:
        super().__init__()
        rows = modalities if private else 1
        self.private = private
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(rows, channels))
        self.bias = nn.Parameter(torch.zeros(rows, channels))

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x H x W with P = len(available) -> the same shape."""
        rows = available if self.private else (0,)
        x = F.instance_norm(x, eps=self.eps)
        parts = [
            torch.addcmul(self._row(self.bias, row, x), part, self._row(self.weight, row, x))
            for row, part in zip(rows, x.chunk(len(rows)))
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @staticmethod
    def _row(table: Tensor, row: int, x: Tensor) -> Tensor:
        return table[row].view(1, -1, 1, 1).to(x.dtype)

    def extra_repr(self) -> str:
        """What ``repr`` shows of it."""
        rows, channels = self.weight.shape
        return f"{channels}, modalities={rows}, private={self.private}, eps={self.eps}"
