"""Several frames as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from asymfusion_ros.data.folder import Frame


@dataclass(frozen=True)
class Batch:
    """names: of N frames. images: by modality's name, N x 3 x H x W uint8 for colour, else N x 1 x H x W
    float32 in the modality's physical unit. label: N x H x W uint8, None where the data have none. teacher:
    N x K x h x w uint8, what a teacher makes of the frames (see soft_labels.py)."""

    names: list[str]
    images: dict[str, Tensor]
    label: Tensor | None
    teacher: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        images = {name: image.to(device, non_blocking=True) for name, image in self.images.items()}
        teacher = None if self.teacher is None else self.teacher.to(device, non_blocking=True)
        label = None if self.label is None else self.label.to(device, non_blocking=True)
        return Batch(self.names, images, label, teacher)

    def pin_memory(self) -> Batch:
        """What a DataLoader calls, for a copy to a GPU that runs beside its work."""
        images = {name: image.pin_memory() for name, image in self.images.items()}
        teacher = None if self.teacher is None else self.teacher.pin_memory()
        label = None if self.label is None else self.label.pin_memory()
        return Batch(self.names, images, label, teacher)


def collate(frames: Sequence[Frame]) -> Batch:
    """Frames of one size, all with the same modalities, and all or none with a label, as a batch."""
    images = {}
    for name in frames[0].images:
        stacked = torch.from_numpy(np.stack([frame.images[name] for frame in frames]))
        images[name] = stacked.permute(0, 3, 1, 2) if stacked.ndim == 4 else stacked[:, None]
    labels = [frame.label for frame in frames if frame.label is not None]
    label = torch.from_numpy(np.stack(labels)) if labels else None
    return Batch([frame.name for frame in frames], images, label)


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches without teacher as one."""
    if len(batches) == 1:
        return batches[0]
    names = [name for batch in batches for name in batch.names]
    images = {name: torch.cat([batch.images[name] for batch in batches]) for name in batches[0].images}
    labels = [batch.label for batch in batches if batch.label is not None]
    return Batch(names, images, torch.cat(labels) if labels else None)
