"""Random changes to a training frame, the same geometry for colour, depth and label.

A zoom leaves depth values alone: it stands for another lens, not for a camera that came nearer, so that a
depth in metres keeps its meaning.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.folder import Sample
from asymfusion_ros.data.labels import VOID
from asymfusion_training.depth_noise import with_holes, with_sensor_noise
from asymfusion_training.recipe import Recipe


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
    height, width = size
    source_height, source_width = sample.label.shape
    fit = max(full_size[0] / source_height, full_size[1] / source_width)
    zoom = fit * np.exp(rng.uniform(*np.log(recipe.scale)))
    zoom = max(zoom, recipe.shortest / min(source_height, source_width))
    scaled = (round(source_width * zoom), round(source_height * zoom))
    shrinks = zoom < 1
    rgb = cv2.resize(sample.rgb, scaled, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    depth = cv2.resize(sample.depth, scaled, interpolation=cv2.INTER_NEAREST_EXACT)
    label = cv2.resize(sample.label, scaled, interpolation=cv2.INTER_NEAREST_EXACT)

    top, left = (_start(have, want, rng) for have, want in ((scaled[1], height), (scaled[0], width)))
    rgb = _window(rgb, top, left, size, 127)
    depth = _window(depth, top, left, size, 0)
    label = _window(label, top, left, size, VOID)
    if rng.random() < 0.5:
        rgb, depth, label = rgb[:, ::-1], depth[:, ::-1], label[:, ::-1]
    if rng.random() < recipe.depth_noise:
        depth = with_sensor_noise(depth, depth_unit, rng)
    if rng.random() < recipe.depth_holes:
        depth = with_holes(depth, rng)
    return Sample(
        sample.name, _recoloured(rgb, rng), np.ascontiguousarray(depth), np.ascontiguousarray(label)
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


def _recoloured(rgb: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Random brightness, contrast, saturation and white balance."""
    x = rgb.astype(np.float32)
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * np.float32(rng.uniform(0.6, 1.4))
    x = (x - x.mean()) * np.float32(rng.uniform(0.7, 1.3)) + x.mean() * np.float32(rng.uniform(0.7, 1.3))
    x = x * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    return np.clip(x, 0, 255).astype(np.uint8)
