"""A split held on the device: decoded once, cut and recoloured there, no reader between disk and GPU.

The same random changes as augment.py makes on the CPU, drawn from the same numbers. Two things differ: a
frame that shrinks is filtered as the engine's InputSpec does it rather than by OpenCV's areas, and colours
are not rounded in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from asymfusion_ros.data.labels import VOID
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.augment import GREY, Change, Sample, draw_change
from asymfusion_training.data.frames import Batch, BatchOrder, Key, TrainingFrames, collate

READERS = 8  # threads: decoding gives up Python's lock


class HeldFrames:
    """All frames of ``frames``: about 2.4 MB each at 640 x 480.

    Raises ConfigError for a recipe whose depth noise or holes, which are made on the CPU, it could not give,
    and for frames of different sizes; UserError for one that cannot be read, and where memory runs out.
    """

    def __init__(self, frames: TrainingFrames, device: torch.device, progress: bool = True) -> None:
        self.frames = frames
        recipe = frames.recipe
        for name in ("depth_noise", "depth_holes"):
            if getattr(recipe, name):
                raise ConfigError(
                    f"recipe: {name} is {getattr(recipe, name):g}, and is made by the reading processes: "
                    "set it to 0, or leave --hold-frames out"
                )
        try:
            self.rgb, self.depth, self.label = self._held(device, progress)
        except torch.cuda.OutOfMemoryError as error:
            raise UserError(
                f"the {len(frames)} frames do not fit into the memory of {device}: leave --hold-frames out"
            ) from error

    def _held(self, device: torch.device, progress: bool) -> tuple[Tensor, Tensor, Tensor]:
        names = self.frames.names
        held: list[Tensor] = []
        size = None
        with ThreadPoolExecutor(READERS) as pool:
            samples = pool.map(self.frames.read, names)
            bar = tqdm(samples, "hold frames", len(names), unit="frame", disable=not progress)
            for i, sample in enumerate(bar):
                size = size or sample.rgb.shape
                if sample.rgb.shape != size:
                    raise ConfigError(_different(sample, size))
                batch = collate([sample])
                parts = (batch.rgb, batch.depth, batch.label)
                if not held:  # all at once: parts joined in the end would need twice the memory
                    shapes = [(len(names), *part.shape[1:]) for part in parts]
                    held = [torch.empty(s, dtype=p.dtype, device=device) for s, p in zip(shapes, parts)]
                for whole, part in zip(held, parts):
                    whole[i] = part[0]
        rgb, depth, label = held
        return rgb, depth, label[:, None]

    def batch(self, keys: list[Key]) -> Batch:
        """The frames of these (epoch, index), each changed by its own numbers."""
        size = self.frames.size
        changes, windows = [], []
        for epoch, index in keys:
            rng = np.random.default_rng((self.frames.recipe.seed, epoch, index))
            source = self.label.shape[-2:]
            change = draw_change(self.frames.recipe, (source[0], source[1]), self.frames.full_size, size, rng)
            changes.append(change)
            windows.append(self._window(index, change, size))
        rgb, depth, label = (torch.cat(parts) for parts in zip(*windows))
        return Batch(
            [self.frames.names[index] for _, index in keys], _recoloured(rgb, changes), depth, label[:, 0]
        )

    def _window(self, index: int, change: Change, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """1 x C x (size) each: rgb float, depth float metres, label uint8."""
        one = slice(index, index + 1)
        rgb = F.interpolate(
            self.rgb[one].float(),
            change.scaled,
            mode="bilinear",
            antialias=change.shrinks,
            align_corners=False,
        )
        depth = F.interpolate(self.depth[one], change.scaled, mode="nearest-exact")
        label = F.interpolate(self.label[one], change.scaled, mode="nearest-exact")
        cut = []
        for image, fill in ((rgb, GREY), (depth, 0), (label, VOID)):
            window = _cut(image, change.top, change.left, size, fill)
            cut.append(window.flip(-1) if change.mirrored else window)
        return cut[0], cut[1], cut[2]


def _different(sample: Sample, size: tuple[int, ...]) -> str:
    height, width = sample.rgb.shape[:2]
    return (
        f"frame {sample.name} is {width}x{height}, others {size[1]}x{size[0]}: frames that are held must be "
        "of one size; leave --hold-frames out"
    )


def _cut(image: Tensor, top: int, left: int, size: tuple[int, int], fill: int) -> Tensor:
    """N x C x H x W -> N x C x size, from (top, left) on; beyond the image ``fill``."""
    height, width = image.shape[-2:]
    below, right = top + size[0] - height, left + size[1] - width
    # A negative pad crops.
    return F.pad(image, (-left, right, -top, below), value=fill)


def _recoloured(rgb: Tensor, changes: list[Change]) -> Tensor:
    """N x 3 x H x W floats of 0 to 255 -> the same as uint8, each frame with its own colours."""

    def each(name: str) -> Tensor:
        values = np.array([getattr(change, name) for change in changes], np.float32)
        return torch.from_numpy(values).to(rgb.device, non_blocking=True).view(len(changes), -1, 1, 1)

    grey = rgb.mean(1, keepdim=True)
    x = torch.lerp(grey.expand_as(rgb), rgb, each("saturation"))
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * each("contrast") + mean * each("brightness")
    return (x * each("balance")).clamp(0, 255).to(torch.uint8)


class HeldBatches:
    """The batches of an order, made when they are asked for; in the place of a DataLoader."""

    def __init__(self, frames: HeldFrames, order: BatchOrder) -> None:
        self.frames, self.order = frames, order

    def __iter__(self) -> Iterator[Batch]:
        for keys in self.order:
            yield self.frames.batch(keys)
