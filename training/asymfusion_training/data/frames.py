"""Frames of a folder as batches for the training loop."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from asymfusion_ros.data.folder import Folder, Frame
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.augment import augmented
from asymfusion_training.data.batch import Batch, collate
from asymfusion_training.data.batch_sampler import BatchSampler, Key
from asymfusion_training.data.change import Augmentation, Change, Label, Size
from asymfusion_training.data.settings import DataSettings
from asymfusion_training.data.soft_labels import SoftLabels, soft_window


class TrainingFrames(Dataset[Any]):
    """Augmented frames of a split; what is done to a frame depends only on seed, epoch and index."""

    def __init__(
        self,
        folder: Folder,
        split: str,
        modalities: Sequence[str],
        spec: InputSpec,
        settings: DataSettings,
        seed: int = 0,
        teacher: SoftLabels | None = None,
    ) -> None:
        """modalities: that are read; no other files need to be there. teacher: whose soft labels a batch has
        too, changed as the frame is.

        Raises UserError for a split that is not there, ConfigError for a modality that the folder lacks, and
        for ``copy_paste`` with a teacher, which has not seen the copies.
        """
        if teacher is not None and settings.copy_paste:
            raise ConfigError(
                f"recipe: copy_paste is {settings.copy_paste:g}, and the teachers have not seen what is "
                "copied: set it to 0, or leave teachers out"
            )
        self.folder, self.seed, self.teacher = folder, seed, teacher
        self.augmentation = augmentation(folder, modalities, spec, settings)
        self.split, self.names = split, folder.names(split)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, key: Key) -> Frame:
        return self._changed(key)[0]

    def __getitems__(self, keys: list[Key]) -> Batch | UserError:
        """A batch, or why there is none: raised in a worker process, an error arrives as a traceback."""
        try:
            frames, taught = zip(*(self._changed(key) for key in keys))
            batch = collate(frames)
            return batch if self.teacher is None else replace(batch, teacher=torch.stack(taught))
        except UserError as error:
            return error

    def loader(self, sampler: BatchSampler, workers: int, pin_memory: bool) -> DataLoader[Any]:
        """Batches, or the UserError in a batch's place. One loader for the whole run: readers never stop
        between epochs."""
        return DataLoader(
            self,
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=as_it_is,
            pin_memory=pin_memory,
            worker_init_fn=one_thread,
            prefetch_factor=4 if workers else None,
        )

    def digest(self) -> str:
        """What tells this list of frames from another."""
        return hashlib.sha256("\n".join(self.names).encode()).hexdigest()

    def _changed(self, key: Key) -> tuple[Frame, Tensor | None]:
        """A frame and what the teacher makes of it, changed alike."""
        frame = self.read(self.names[key[1]])
        changed = augmented(frame, self.augmentation, self.random(key))
        if self.teacher is None or frame.label is None:
            return changed, None
        change = self.change(key, frame.size, frame.label)
        return changed, soft_window(self.teacher.read(frame.name), change, self.augmentation.size)

    def read(self, name: str) -> Frame:
        """The whole frame, unchanged. Raises UserError where it cannot be read."""
        return self.folder.read(name, tuple(self.augmentation.modalities))

    def random(self, key: Key) -> np.random.Generator:
        """What a frame's change is drawn from."""
        return np.random.default_rng((self.seed, *key))

    def change(self, key: Key, source_size: Size, label: Label | None = None) -> Change:
        """The change to a frame of ``source_size``. label: the frame's, H x W, for ``class_crops``."""
        return self.augmentation.draw(source_size, self.random(key), label)


def augmentation(
    folder: Folder, modalities: Sequence[str], spec: InputSpec, settings: DataSettings
) -> Augmentation:
    """What is done to frames of these modalities. Raises ConfigError for one that the folder lacks."""
    folder.check_modalities(modalities)
    full_size = (spec.height, spec.width)
    return Augmentation(
        settings,
        {name: spec.modality(name) for name in modalities},
        {name: folder.images[name].unit for name in modalities},
        full_size,
        settings.crop or full_size,
    )


def as_it_is(batch: Any) -> Any:
    """What the readers of a loader give are whole batches already."""
    return batch


def one_thread(worker: int) -> None:
    """For each reader of a loader, as it starts."""
    # Readers side by side, each of them with threads for every core, would only wait for each other.
    cv2.setNumThreads(0)
