"""Max-pooling of 5 x 5 with stride 1."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def max_pool_5x5(x: Tensor) -> Tensor:
    """P x C x h x w -> the same shape: the largest of each 5 x 5 neighbourhood, as far as it is in the image.

    The largest of 5 x 5 is the largest of a row of column maxima: 10 comparisons instead of 25.
    """
    if x.device.type == "cpu" and not torch.compiler.is_compiling():
        # torch's kernel looks for the place of each maximum too, which only a gradient needs.
        if not torch.is_grad_enabled():
            return _largest_of_five(_largest_of_five(x, -2), -1)
        # With channels last, the way back through two rounds takes longer than the comparisons saved.
        if x.is_contiguous(memory_format=torch.channels_last):
            return F.max_pool2d(x, 5, 1, 2)
    return F.max_pool2d(F.max_pool2d(x, (5, 1), 1, (2, 0)), (1, 5), 1, (0, 2))


def _largest_of_five(x: Tensor, dim: int) -> Tensor:
    """Along ``dim``: of each value and the two before and after it."""
    size = x.shape[dim]
    largest = x.clone()

    def compare(first: int, count: int, others: Tensor) -> None:
        """``largest`` from ``first`` on with so many ``others``."""
        if count > 0:
            part = largest.narrow(dim, first, count)
            torch.maximum(part, others, out=part)

    if size > 1:
        pairs = torch.maximum(x.narrow(dim, 0, size - 1), x.narrow(dim, 1, size - 1))
        compare(1, 1, x.narrow(dim, 0, 1))
        compare(size - 2, 1, x.narrow(dim, size - 1, 1))
        if size > 2:
            compare(2, size - 2, pairs.narrow(dim, 0, size - 2))
            compare(0, size - 2, pairs.narrow(dim, 1, size - 2))
    return largest
