"""Changes carried out by torch where the frames are: what frames held on a GPU go through.

The same changes as augment.py makes, from the same numbers. Two things differ: a frame that shrinks is
filtered as the engine's InputSpec does it rather than by OpenCV's areas, and colours are not rounded in
between. Noise and holes of ranges are made by augment.py only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.labels import VOID
from asymfusion_ros.data.modality import Modality, turned
from asymfusion_training.data.change import Augmentation, Change, Size


def augmented_on_device(
    images: Sequence[Mapping[str, Tensor]],
    labels: Sequence[Tensor],
    changes: Sequence[Change],
    augmentation: Augmentation,
) -> tuple[dict[str, Tensor], Tensor]:
    """N frames, each with its own change.

    images: of each frame, C x H x W by modality's name, as a Batch has them. labels: H x W uint8 each.
    Returns a Batch's images and labels.
    """
    size, made = augmentation.size, {}
    for name, modality in augmentation.modalities.items():
        windows = []
        for image, change in zip(images, changes):
            window = _window(_resized(image[name][None], modality, change), change, size, modality.fill)
            if modality.kind == "colour" and change.blur:
                window = _blurred(window, change.blur)
            windows.append(turned(window, modality) if change.mirrored else window)
        made[name] = torch.cat(windows)
        if modality.kind == "colour" and not augmentation.recolours:
            made[name] = made[name].round().clamp(0, 255).to(torch.uint8)
        elif modality.kind == "colour":
            made[name] = _recoloured(made[name], changes)
        for frame, change in zip(made[name], changes):
            for hole in change.cut:
                if name in hole.modalities:
                    rows = slice(hole.top, hole.top + hole.height)
                    frame[:, rows, hole.left : hole.left + hole.width] = modality.fill
    cut = [
        _window(F.interpolate(label[None, None], change.scaled, mode="nearest-exact"), change, size, VOID)
        for label, change in zip(labels, changes)
    ]
    return made, torch.cat(cut)[:, 0]


def _resized(image: Tensor, modality: Modality, change: Change) -> Tensor:
    """1 x C x H x W -> 1 x C x the change's ``scaled`` size; floats where pixels are means."""
    if not modality.smooth:
        return F.interpolate(image, change.scaled, mode="nearest-exact")

    def smooth(x: Tensor) -> Tensor:
        return F.interpolate(x, change.scaled, mode="bilinear", antialias=change.shrinks, align_corners=False)

    if image.dtype == torch.uint8:
        return smooth(image.float())
    known = image.isfinite()
    share, total = smooth(known.float()), smooth(image.where(known, 0.0))
    return (total / share.clamp(min=0.5)).where(share >= 0.5, torch.nan)


def _window(image: Tensor, change: Change, size: Size, fill: float) -> Tensor:
    """N x C x H x W -> N x C x size: the change's window, mirrored where it says so."""
    height, width = image.shape[-2:]
    below, right = change.top + size[0] - height, change.left + size[1] - width
    # A negative pad crops.
    window = F.pad(image, (-change.left, right, -change.top, below), value=fill)
    return window.flip(-1) if change.mirrored else window


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """1 x C x H x W floats through a Gaussian, cut off where OpenCV cuts it for 8-bit images."""
    reach = (round(6 * sigma + 1) | 1) // 2
    offsets = torch.arange(-reach, reach + 1, device=image.device, dtype=torch.float32)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).expand(image.shape[1], 1, 1, -1)
    padded = F.pad(image, (reach, reach, reach, reach), mode="reflect")
    rows = F.conv2d(padded, kernel, groups=image.shape[1])
    return F.conv2d(rows, kernel.transpose(2, 3), groups=image.shape[1])


def _recoloured(rgb: Tensor, changes: Sequence[Change]) -> Tensor:
    """N x 3 x H x W floats of 0 to 255 -> the same as uint8, each frame with its own colours."""

    def each(name: str) -> Tensor:
        values = np.array([getattr(change, name) for change in changes], np.float32)
        return torch.from_numpy(values).to(rgb.device, non_blocking=True).view(len(changes), -1, 1, 1)

    grey = rgb.mean(1, keepdim=True)
    x = torch.lerp(grey.expand_as(rgb), rgb, each("saturation"))
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * each("contrast") + mean * each("brightness")
    return (x * each("balance")).clamp(0, 255).to(torch.uint8)
