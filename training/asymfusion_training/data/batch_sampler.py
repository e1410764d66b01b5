"""Which frames make up which batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np

from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.batch import Batch
from asymfusion_training.loop.settings import LoopSettings

Key = tuple[int, int]  # epoch, index of the frame in its split


class Frames(Protocol):
    """The frames of a split to train on, wherever they lie."""

    @property
    def split(self) -> str:
        """Its name."""

    def __len__(self) -> int:
        """How many there are."""

    def digest(self) -> str:
        """What tells this list of frames from another."""

    def loader(self, sampler: BatchSampler, workers: int, pin_memory: bool) -> Iterable[Batch | UserError]:
        """The batches of the run that the sampler describes, or the UserError in a batch's place; ``workers``
        processes read them."""


class BatchSampler:
    """The batches of all epochs: a function of only the seed.

    Yields the keys of this process's part of every batch from ``first_step`` on. A step's batch is cut into
    ``accumulate`` forward passes, and each of them over the processes. The frames that do not fill a batch
    are left out of their epoch; another epoch leaves out others. Raises ConfigError for a batch that cannot
    be cut so.
    """

    def __init__(
        self, frames: int, settings: LoopSettings, first_step: int = 0, rank: int = 0, processes: int = 1
    ) -> None:
        """frames: in the split. rank: of this process among ``processes``."""
        if settings.batch % (settings.accumulate * processes):
            raise ConfigError(
                f"a batch of {settings.batch} cannot be shared by {processes} processes with accumulate = "
                f"{settings.accumulate}: make batch a multiple of {settings.accumulate * processes}"
            )
        self.frames = frames
        self.settings = settings
        self.first_step = first_step
        self.rank = rank
        self.processes = processes
        self.steps_per_epoch = frames // settings.batch

    def __len__(self) -> int:
        steps = self.settings.total_epochs * self.steps_per_epoch - self.first_step
        return steps * self.settings.accumulate

    def __iter__(self) -> Iterator[list[Key]]:
        batch, parts = self.settings.batch, self.settings.accumulate
        for epoch in range(self.settings.total_epochs):
            if self.steps_per_epoch * (epoch + 1) <= self.first_step:
                continue
            order = np.random.default_rng((self.settings.seed, epoch)).permutation(self.frames)
            for step in range(self.steps_per_epoch):
                if epoch * self.steps_per_epoch + step < self.first_step:
                    continue
                for part in np.split(order[step * batch : (step + 1) * batch], parts):
                    yield [(epoch, int(index)) for index in part[self.rank :: self.processes]]
