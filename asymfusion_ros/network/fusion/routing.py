"""Who receives features from whom, and what arrives, for every kind of fusion.

Tensors hold P modalities stacked along the batch, (P N) x C x H x W. ``senders[i]`` are the places in the
stack that its i-th modality receives features from: with two modalities ((1,), (0,)). Where several send,
the mean of theirs is received; where none does, a modality keeps what it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from asymfusion_ros.network.fusion.config import Route
from asymfusion_ros.network.layers.norms import Available

Senders = Sequence[Sequence[int]]


def everyone_else(modalities: int) -> Senders:
    """Each modality receives from all the others."""
    return tuple(tuple(j for j in range(modalities) if j != i) for i in range(modalities))


def senders_along(route: Route | None, available: Available) -> Senders:
    """Places in a stack of the available modalities; a route with one end missing leads nowhere.

    route: (source, target) as indices of modalities, None where fusion goes every way.
    """
    if route is None:
        return everyone_else(len(available))
    source, target = route
    if source not in available or target not in available:
        return ((),) * len(available)
    return tuple((available.index(source),) if modality == target else () for modality in available)


def mean_of(parts: Sequence[Tensor], places: Sequence[int]) -> Tensor:
    """The mean of the features at one or more places, N x C x H x W each."""
    if len(places) == 1:
        return parts[places[0]]
    return torch.stack([parts[place] for place in places]).mean(0)


def received(x: Tensor, senders: Senders, otherwise_zero: bool) -> Tensor:
    """What each modality receives: the mean of its senders; without one, its own features or zero."""
    parts = x.chunk(len(senders))
    arriving = []
    for own, places in zip(parts, senders):
        if places:
            arriving.append(mean_of(parts, places))
        else:
            arriving.append(torch.zeros_like(own) if otherwise_zero else own)
    return torch.cat(arriving)
