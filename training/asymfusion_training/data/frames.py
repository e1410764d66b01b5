"""Frames of a folder as batches for the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.augment import Sample, augmented
from asymfusion_training.recipe import Recipe

Key = tuple[int, int]  # epoch, index of the frame in its split


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
        images = {"rgb": self.rgb, "depth": self.depth}
        return [spec.network_input(name, images[name], size) for name in modalities]

    def to(self, device: torch.device) -> Batch:
        rgb, depth, label = (x.to(device, non_blocking=True) for x in (self.rgb, self.depth, self.label))
        return Batch(self.names, rgb, depth, label)

    def pin_memory(self) -> Batch:
        """What a DataLoader calls, for a copy to a GPU that runs beside its work."""
        return Batch(self.names, self.rgb.pin_memory(), self.depth.pin_memory(), self.label.pin_memory())


class TrainingFrames(Dataset[Sample]):
    """Augmented frames of a split; what is done to a frame depends on seed, epoch and index alone."""

    def __init__(self, folder: Folder, split: str, recipe: Recipe, spec: InputSpec) -> None:
        self.folder = folder
        self.names = folder.names(split)
        self.modalities = recipe.network_config(len(folder.labels)).modalities
        folder.check_modalities(self.modalities)
        # A network without depth is not to wait for the noise of one that nobody reads.
        self.recipe = recipe if "depth" in self.modalities else replace(recipe, depth_holes=0, depth_noise=0)
        self.full_size = (spec.height, spec.width)
        self.size = recipe.crop or self.full_size

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: Key) -> Sample:
        epoch, index = key
        rng = np.random.default_rng((self.recipe.seed, epoch, index))
        sample = self.read(self.names[index])
        return augmented(sample, self.recipe, self.full_size, self.size, rng, self.folder.depth_scale)

    def read(self, name: str) -> Sample:
        """The whole frame, unchanged. Images of a modality that the network does not have are black, and
        need no files."""
        frame = self.folder.read(name, self.modalities)
        assert frame.label is not None
        size = frame.label.shape
        rgb = frame.images.get("rgb", np.zeros((*size, 3), np.uint8))
        depth = frame.images.get("depth", np.zeros(size, np.float32))
        return Sample(name, rgb, depth, frame.label)

    def __getitems__(self, keys: list[Key]) -> Batch | UserError:
        """A batch, or why there is none: raised in a worker process, an error arrives as a traceback."""
        try:
            return collate([self[key] for key in keys])
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


class BatchOrder:
    """Which frames make up which batch, over all epochs: a function of the seed alone.

    Yields the keys of this process's part of every batch from ``first_step`` on. A step's batch is cut into
    ``accumulate`` forward passes, and each of them over the processes. The frames that do not fill a batch
    are left out of their epoch; another epoch leaves out others.
    """

    def __init__(
        self, frames: int, recipe: Recipe, first_step: int = 0, rank: int = 0, processes: int = 1
    ) -> None:
        if recipe.batch % (recipe.accumulate * processes):
            raise ConfigError(
                f"a batch of {recipe.batch} cannot be shared by {processes} processes with accumulate = "
                f"{recipe.accumulate}: make batch a multiple of {recipe.accumulate * processes}"
            )
        self.frames = frames
        self.recipe = recipe
        self.first_step = first_step
        self.rank = rank
        self.processes = processes
        self.steps_per_epoch = frames // recipe.batch

    def __len__(self) -> int:
        steps = self.recipe.total_epochs * self.steps_per_epoch - self.first_step
        return steps * self.recipe.accumulate

    def __iter__(self) -> Iterator[list[Key]]:
        batch, parts = self.recipe.batch, self.recipe.accumulate
        for epoch in range(self.recipe.total_epochs):
            if self.steps_per_epoch * (epoch + 1) <= self.first_step:
                continue
            order = np.random.default_rng((self.recipe.seed, epoch)).permutation(self.frames)
            for step in range(self.steps_per_epoch):
                if epoch * self.steps_per_epoch + step < self.first_step:
                    continue
                for part in np.split(order[step * batch : (step + 1) * batch], parts):
                    yield [(epoch, int(index)) for index in part[self.rank :: self.processes]]


def make_loader(
    frames: TrainingFrames, order: BatchOrder, workers: int, pin_memory: bool
) -> DataLoader[Batch | UserError]:
    """One loader for the whole run: readers never stop between epochs."""
    return DataLoader(
        frames,
        batch_sampler=order,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=pin_memory,
        worker_init_fn=_one_thread,
        prefetch_factor=4 if workers else None,
    )


def _as_it_is(batch: Batch | UserError) -> Batch | UserError:
    """TrainingFrames gives whole batches already."""
    return batch


def _one_thread(worker: int) -> None:
    # Readers side by side, each of them with threads for every core, would only wait for each other.
    cv2.setNumThreads(0)
