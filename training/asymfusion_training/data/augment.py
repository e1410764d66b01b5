"""Random changes to a training frame, the same geometry for colour, depth and label.

A zoom leaves depth values alone: it stands for another lens, not for a camera that came nearer, so that a
depth in metres keeps its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.labels import VOID
from asymfusion_training.data.depth_noise import with_holes, with_sensor_noise
from asymfusion_training.recipe import Recipe

GREY = 127  # of pixels beyond the frame


@dataclass(frozen=True)
class Sample:
    """rgb: H x W x 3 uint8. depth: H x W float32 metres, 0 where unknown. label: H x W uint8, void 255."""

    name: str
    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8] | None


@dataclass(frozen=True)
class Change:
    """What is done to one frame. scaled: its (height, width) after the zoom. top, left: where the window
    begins in it, negative where it is smaller than the window. noisy, holed: its depth gets noise, holes.
    saturation, contrast, brightness, balance: factors, the last for R, G and B."""

    scaled: tuple[int, int]
    shrinks: bool
    top: int
    left: int
    mirrored: bool
    noisy: bool
    holed: bool
    saturation: float
    contrast: float
    brightness: float
    balance: npt.NDArray[np.float32]


def draw_change(
    recipe: Recipe,
    source_size: tuple[int, int],
    full_size: tuple[int, int],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Change:
    """source_size: (height, width) of the frame; the other sizes as ``augmented`` has them."""
    fit = max(full_size[0] / source_size[0], full_size[1] / source_size[1])
    if recipe.scale_law == "log":
        zoom = fit * np.exp(rng.uniform(*np.log(recipe.scale)))
    else:
        zoom = fit * rng.uniform(*recipe.scale)
    zoom = max(zoom, recipe.shortest / min(source_size))
    scaled = (round(source_size[0] * zoom), round(source_size[1] * zoom))
    top, left = (_start(have, want, rng) for have, want in zip(scaled, size))
    strength = recipe.colours

    def factor(reach: float, count: int | None = None) -> Any:
        return rng.uniform(1 - reach * strength, 1 + reach * strength, count)

    return Change(
        scaled,
        bool(zoom < 1),
        top,
        left,
        mirrored=rng.random() < 0.5,
        noisy=rng.random() < recipe.depth_noise,
        holed=rng.random() < recipe.depth_holes,
        saturation=factor(0.4),
        contrast=factor(0.3),
        brightness=factor(0.3),
        balance=factor(0.08, 3).astype(np.float32),
    )


def augmented(
    sample: Sample,
    recipe: Recipe,
    full_size: tuple[int, int],
    size: tuple[int, int],
    rng: np.random.Generator,
    depth_unit: float = 0.001,
) -> Sample:
    """A random zoom, crop, mirror and change of colours of ``sample``, its depth made like a sensor's.

    full_size: (height, width) of the network's input, which a zoom of 1 fits the frame to. size: of the
    result, a window of the zoomed frame. Beyond the frame: mean grey, no depth, void. depth_unit: metres
    between two stored values of the depth.
    """
    assert sample.label is not None
    height, width = sample.label.shape
    change = draw_change(recipe, (height, width), full_size, size, rng)
    scaled = change.scaled[::-1]  # OpenCV names the width first
    smooth = cv2.INTER_AREA if change.shrinks else cv2.INTER_LINEAR
    rgb = cv2.resize(sample.rgb, scaled, interpolation=smooth)
    depth = cv2.resize(sample.depth, scaled, interpolation=cv2.INTER_NEAREST_EXACT)
    label = cv2.resize(sample.label, scaled, interpolation=cv2.INTER_NEAREST_EXACT)

    rgb = _window(rgb, change.top, change.left, size, GREY)
    depth = _window(depth, change.top, change.left, size, 0)
    label = _window(label, change.top, change.left, size, VOID)
    if change.mirrored:
        rgb, depth, label = rgb[:, ::-1], depth[:, ::-1], label[:, ::-1]
    if change.noisy:
        depth = with_sensor_noise(depth, depth_unit, rng)
    if change.holed:
        depth = with_holes(depth, rng)
    return Sample(
        sample.name, _recoloured(rgb, change), np.ascontiguousarray(depth), np.ascontiguousarray(label)
    )


def _start(have: int, want: int, rng: np.random.Generator) -> int:
    """Where a window of ``want`` pixels begins; negative where the image is smaller than the window."""
    low, high = sorted((0, have - want))
    return int(rng.integers(low, high + 1))


def _window(
    image: npt.NDArray[np.generic], top: int, left: int, size: tuple[int, int], fill: int
) -> npt.NDArray[np.generic]:
    height, width = size
    out = np.full((height, width, *image.shape[2:]), fill, image.dtype)
    y, x = max(top, 0), max(left, 0)
    part = image[y : top + height, x : left + width]
    out[y - top : y - top + part.shape[0], x - left : x - left + part.shape[1]] = part
    return out


def _recoloured(rgb: npt.NDArray[np.uint8], change: Change) -> npt.NDArray[np.uint8]:
    """Another brightness, contrast, saturation and white balance."""
    x = rgb.astype(np.float32)
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * np.float32(change.saturation)
    x = (x - x.mean()) * np.float32(change.contrast) + x.mean() * np.float32(change.brightness)
    return np.clip(x * change.balance, 0, 255).astype(np.uint8)
