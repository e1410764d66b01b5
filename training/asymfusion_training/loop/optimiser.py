"""The optimiser of a recipe: encoder and decoder at their own rates."""

from __future__ import annotations

import torch

from asymfusion_ros.network import SegmentationNetwork
from asymfusion_training.recipe import Recipe


def make_optimiser(network: SegmentationNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Encoder, and decoder with alpha; norms, biases and alpha without weight decay but for ``decay_all``."""
    groups = []
    for part, rate, parameters in (
        ("encoder", recipe.encoder_rate, list(network.encoder.parameters())),
        ("decoder", recipe.decoder_rate, [*network.decoder.parameters(), *network.ensemble.parameters()]),
    ):
        # Convolutions alone have four axes: the norms are S x C.
        for decay, chosen in (
            (recipe.weight_decay, [p for p in parameters if p.ndim == 4]),
            (recipe.weight_decay if recipe.decay_all else 0.0, [p for p in parameters if p.ndim < 4]),
        ):
            groups.append({"params": chosen, "lr": rate, "weight_decay": decay, "part": part})
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=recipe.momentum)
    return torch.optim.AdamW(groups)


def set_rates(optimiser: torch.optim.Optimizer, encoder_rate: float, decoder_rate: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = encoder_rate if group["part"] == "encoder" else decoder_rate
