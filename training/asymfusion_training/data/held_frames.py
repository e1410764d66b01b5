"""A split held on the device: decoded once, changed there, no reader between disk and GPU."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor
from tqdm import tqdm

from asymfusion_ros.data.folder import Frame
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.augment_on_device import augmented_on_device
from asymfusion_training.data.batch import Batch, collate
from asymfusion_training.data.batch_sampler import BatchSampler, Key
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.data.soft_labels import soft_window

LABEL, TEACHER = "label", "teacher"  # beside the modalities
READERS = 8  # threads: decoding gives up Python's lock


class HeldFrames:
    """All frames of ``frames``: about 2.4 MB each at 640 x 480 with colour and depth.

    images: by modality, F x C x H x W as a Batch has them. label: F x H x W uint8. teacher: F x K x h x w
    uint8 soft labels, where the frames have a teacher.

    Raises ConfigError for settings of noise, holes or copies, which are made on the CPU, and for frames of
    different sizes; UserError for a frame that cannot be read, and where memory runs out.
    """

    def __init__(self, frames: TrainingFrames, device: torch.device, progress: bool = True) -> None:
        self.frames = frames
        ranges = any(modality.kind == "range" for modality in frames.augmentation.modalities.values())
        on_the_cpu = ("depth_noise", "depth_holes", "copy_paste") if ranges else ("copy_paste",)
        for name in on_the_cpu:
            if chance := getattr(frames.augmentation.settings, name):
                raise ConfigError(
                    f"recipe: {name} is {chance:g}, and is made by the reading processes: "
                    "set it to 0, or leave --hold-frames out"
                )
        try:
            self.images, self.label, self.teacher = self._held(device, progress)
        except torch.cuda.OutOfMemoryError as error:
            raise UserError(
                f"the {len(frames)} frames do not fit into the memory of {device}: leave --hold-frames out"
            ) from error

    def _held(self, device: torch.device, progress: bool) -> tuple[dict[str, Tensor], Tensor, Tensor | None]:
        names = self.frames.names
        held: dict[str, Tensor] = {}
        with ThreadPoolExecutor(READERS) as pool:
            read = pool.map(self.frames.read, names)
            for i, frame in enumerate(
                tqdm(read, "hold frames", len(names), unit="frame", disable=not progress)
            ):
                batch = collate([frame])
                if batch.label is None:
                    raise ConfigError(
                        f"{self.frames.folder.root} has no labels, and such frames are not held: leave "
                        "--hold-frames out"
                    )
                parts = {**batch.images, LABEL: batch.label}
                if self.frames.teacher is not None:
                    parts[TEACHER] = self.frames.teacher.read(frame.name)[None]
                if not held:  # all at once: parts joined in the end would need twice the memory
                    held = {
                        name: torch.empty((len(names), *part.shape[1:]), dtype=part.dtype, device=device)
                        for name, part in parts.items()
                    }
                if held[LABEL].shape[1:] != batch.label.shape[1:]:
                    raise ConfigError(_different(frame, held[LABEL].shape[1:]))
                for name, part in parts.items():
                    held[name][i] = part[0]
        return held, held.pop(LABEL), held.pop(TEACHER, None)

    def batch(self, keys: list[Key]) -> Batch:
        """The frames of these (epoch, index), each changed by its own numbers."""
        height, width = self.label.shape[-2:]
        by_class = self.frames.augmentation.settings.class_crops > 0
        changes = [
            self.frames.change(key, (height, width), self.label[key[1]].cpu().numpy() if by_class else None)
            for key in keys
        ]
        indices = [index for _, index in keys]
        images = [{name: held[index] for name, held in self.images.items()} for index in indices]
        changed = augmented_on_device(
            images, [self.label[index] for index in indices], changes, self.frames.augmentation
        )
        taught = None
        if self.teacher is not None:
            size = self.frames.augmentation.size
            taught = torch.stack(
                [soft_window(self.teacher[index], change, size) for index, change in zip(indices, changes)]
            )
        return Batch([self.frames.names[index] for index in indices], *changed, taught)


def _different(frame: Frame, size: tuple[int, ...]) -> str:
    assert frame.label is not None
    height, width = frame.label.shape
    return (
        f"frame {frame.name} is {width}x{height}, others {size[1]}x{size[0]}: frames that are held must be "
        "of one size; leave --hold-frames out"
    )


class HeldBatches:
    """The batches of a sampler, made when they are asked for; in the place of a DataLoader."""

    def __init__(self, frames: HeldFrames, sampler: BatchSampler) -> None:
        self.frames, self.sampler = frames, sampler

    def __iter__(self) -> Iterator[Batch]:
        for keys in self.sampler:
            yield self.frames.batch(keys)
