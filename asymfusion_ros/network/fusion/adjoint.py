"""Gradients of what fusion exchanges, as one exchange back.

Autograd's own of a slice is a tensor of zeros with the slice's filled in, whatever the memory layout:
everything before it in the block then has gradients in another layout than its features, and on a CPU takes
several times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from asymfusion_ros.network.fusion.routing import Senders

Map = Callable[[Tensor], Tensor]


def linear(x: Tensor, forward: Map, adjoint: Map) -> Tensor:
    """``forward(x)``, whose gradient is ``adjoint`` of the output's. Both are linear, and each other's
    adjoint: <forward(x), y> = <x, adjoint(y)> for all x and y."""
    if not (x.requires_grad and torch.is_grad_enabled()) or torch.compiler.is_compiling():
        return forward(x)
    out: Tensor = _Linear.apply(x, forward, adjoint)
    return out


def sent_back(gradient: Tensor, senders: Senders, otherwise_zero: bool) -> Tensor:
    """The adjoint of ``routing.received``: what each modality sent is the sum of its shares in the means
    that the others received. (P N) x C x h x w."""
    parts = gradient.chunk(len(senders))
    back = []
    for place, own in enumerate(parts):
        shares = [
            part if len(places) == 1 else part / len(places)
            for part, places in zip(parts, senders)
            if place in places
        ]
        if not senders[place] and not otherwise_zero:
            shares.append(own)
        first, *others = shares or [torch.zeros_like(own)]
        back.append(sum(others, first))
    return torch.cat(back)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: Map, adjoint: Map) -> Tensor:
        ctx.adjoint = adjoint
        return forward(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return ctx.adjoint(gradients[0]), None, None
