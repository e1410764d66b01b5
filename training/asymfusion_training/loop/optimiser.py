"""The optimiser of a recipe: encoder and decoder at their own learning rates."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from asymfusion_training.loop.settings import LoopSettings


def make_optimiser(
    encoder: Iterable[nn.Parameter], decoder: Iterable[nn.Parameter], settings: LoopSettings
) -> torch.optim.Optimizer:
    """``decoder``: with all that learns at its rate. Norms, biases and other parameters that are no
    convolution's weights are without weight decay, but for ``decay_all``."""
    groups = []
    for part, rate, parameters in (
        ("encoder", settings.encoder_lr, list(encoder)),
        ("decoder", settings.decoder_lr, list(decoder)),
    ):
        # Convolutions alone have four axes: the norms are S x C.
        for decay, chosen in (
            (settings.weight_decay, [p for p in parameters if p.ndim == 4]),
            (settings.weight_decay if settings.decay_all else 0.0, [p for p in parameters if p.ndim < 4]),
        ):
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay, "part": part})
    if settings.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=settings.momentum)
    return torch.optim.AdamW(groups, betas=(settings.momentum, 0.999))


def set_rates(optimiser: torch.optim.Optimizer, encoder_lr: float, decoder_lr: float) -> None:
    """Gives the groups of ``make_optimiser`` these learning rates."""
    for group in optimiser.param_groups:
        group["lr"] = encoder_lr if group["part"] == "encoder" else decoder_lr
