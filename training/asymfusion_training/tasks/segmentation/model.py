"""The network as it is trained: its loss as a forward pass, so that wrappers see one module."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from asymfusion_ros.network import SegmentationNetwork
from asymfusion_ros.network.fusion.registry import FUSIONS
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d
from asymfusion_training.loop.synced_norm import synced_batch_norm
from asymfusion_training.recipe import Recipe
from asymfusion_training.tasks.segmentation.losses import segmentation_loss


class TrainingModel(nn.Module):
    """class_weights: K, or None for all alike. synced: there are several processes."""

    class_weights: Tensor | None

    def __init__(
        self,
        network: SegmentationNetwork,
        recipe: Recipe,
        class_weights: Tensor | None = None,
        synced: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.register_buffer("class_weights", class_weights, persistent=False)
        for norm in self.norms():
            norm.momentum = recipe.norm_momentum
            if synced:
                norm.batch_norm = synced_batch_norm

    def norms(self) -> list[PrivateBatchNorm2d]:
        return [module for module in self.network.modules() if isinstance(module, PrivateBatchNorm2d)]

    def train(self, mode: bool = True) -> TrainingModel:
        super().train(mode)
        if self.recipe.norms == "frozen":
            for norm in self.norms():
                norm.eval()
        return self

    def forward(self, inputs: list[Tensor | None], label: Tensor) -> Tensor:
        """S inputs of N x 3 x H x W, None where absent, and N x H x W labels -> the loss."""
        return segmentation_loss(
            self.network,
            self.network(inputs),
            label,
            self.recipe.distillation,
            self.recipe.temperature,
            self.class_weights,
            self.recipe.loss_at,
        )


def left_alone(recipe: Recipe, modalities: int, step: int) -> int | None:
    """The modality that is alone at this step, None where all are present; the same on every process."""
    rng = np.random.default_rng((recipe.seed, step, 1))
    if modalities == 1 or rng.random() >= recipe.modality_dropout:
        return None
    return int(rng.integers(modalities))


def leaves_some_out(recipe: Recipe) -> bool:
    """Whether a step can leave parameters without a gradient: the layers that are one modality's alone, where
    that is left out of the step."""
    config = recipe.network_config(2)
    own = not config.shared_convs or FUSIONS[config.fusion].parametric
    return own and len(config.modalities) > 1 and recipe.modality_dropout > 0


def reseed(recipe: Recipe, step: int, rank: int) -> None:
    """Makes a step's dropout a function of seed, step and process, so that resuming needs no state of it."""
    seed = int(np.random.SeedSequence((recipe.seed, step, rank)).generate_state(1, np.uint64)[0] >> 1)
    torch.manual_seed(seed)
