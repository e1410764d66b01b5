"""Frames of a folder as batches for the training loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from asymfusion_ros.data.folder import Folder, Sample
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.augment import augmented
from asymfusion_training.recipe import Recipe


@dataclass(frozen=True)
class Batch:
    """names: N frame names. rgb: N x 3 x H x W uint8. depth: N x 1 x H x W float32 metres.
    label: N x H x W uint8."""

    names: list[str]
    rgb: Tensor
    depth: Tensor
    label: Tensor

    def inputs(self, modalities: tuple[str, ...], spec: InputSpec, size: tuple[int, int]) -> list[Tensor]:
        """The network's inputs at this (height, width), in the order of its modalities."""
        check_modalities(modalities)
        made = {"rgb": lambda: spec.rgb(self.rgb, size), "depth": lambda: spec.depth(self.depth, size)}
        return [made[name]() for name in modalities]


def check_modalities(modalities: tuple[str, ...]) -> None:
    """Raises ConfigError for a modality that a folder has no images of."""
    unknown = sorted(set(modalities) - {"rgb", "depth"})
    if unknown:
        raise ConfigError(f"modalities: a folder has rgb and depth alone, not {', '.join(unknown)}")


class TrainingFrames(Dataset[Sample]):
    """Augmented frames of a split; what is done to a frame depends on seed, epoch and index alone."""

    def __init__(self, folder: Folder, split: str, recipe: Recipe, spec: InputSpec) -> None:
        self.folder = folder
        self.names = folder.names(split)
        self.recipe = recipe
        self.full_size = (spec.height, spec.width)
        self.size = recipe.crop or self.full_size
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng((self.recipe.seed, self.epoch, index))
        return augmented(self.folder.read(self.names[index]), self.recipe, self.full_size, self.size, rng)

    def __getitems__(self, indices: list[int]) -> Batch | UserError:
        """A batch, or why there is none: raised in a worker process, an error arrives as a traceback."""
        try:
            return collate([self[index] for index in indices])
        except UserError as error:
            return error


def collate(samples: list[Sample]) -> Batch:
    labels = [sample.label for sample in samples if sample.label is not None]
    return Batch(
        [sample.name for sample in samples],
        torch.from_numpy(np.stack([sample.rgb for sample in samples])).permute(0, 3, 1, 2),
        torch.from_numpy(np.stack([sample.depth for sample in samples]))[:, None],
        torch.from_numpy(np.stack(labels)),
    )
