"""Batch norm over the batches of several processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


class _SumOverProcesses(torch.autograd.Function):
    """All-reduce that gradients flow through."""

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
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """``torch.nn.functional.batch_norm``, in training over the batches of all processes of the default group;
    for a norm's ``batch_norm``, on any device.

    Gradients flow through the sums that the processes exchange. torch's SyncBatchNorm knows one set of
    statistics and GPUs alone.
    """
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
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
