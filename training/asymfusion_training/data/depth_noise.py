"""Depth made like a sensor's: holes, ragged edges, noise, steps. Depth H x W float32 metres, 0 unknown.

Data sets give depth that was in-painted and smoothed; a robot's camera does not.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Depth = npt.NDArray[np.float32]
EDGE = 0.05  # a step of this share of the depth ends a surface


def edges_of(depth: Depth) -> npt.NDArray[np.bool_]:
    """Where surfaces end, two pixels wide."""
    return cv2.morphologyEx(depth, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > EDGE * depth


def smooth_noise(shape: tuple[int, int], cell: int, rng: np.random.Generator) -> Depth:
    """Normally distributed values that vary over about ``cell`` pixels."""
    coarse = rng.standard_normal((shape[0] // cell + 2, shape[1] // cell + 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (shape[1], shape[0])), np.float32)


def with_holes(depth: Depth, rng: np.random.Generator) -> Depth:
    """Blobs without a measurement, mostly where surfaces end."""
    noise = smooth_noise(depth.shape, 16, rng)
    missing = noise > rng.uniform(0.8, 2.0)
    missing |= edges_of(depth) & (noise > rng.uniform(-1.0, 1.0))
    return np.where(missing, np.float32(0), depth)


def with_sensor_noise(depth: Depth, unit: float, rng: np.random.Generator) -> Depth:
    """Ragged edges, noise that grows with the square of the distance, and its steps.

    unit: metres between two values that the depth was stored with: they are spread over the step first, or
    the network learns to see it. A structured-light camera's noise is about 0.0012 + 0.0019 (z - 0.4)^2
    metres (Nguyen et al. 2012), and so are its steps; up to twice that is drawn here.
    """
    known = depth > 0
    height, width = depth.shape
    reach = rng.uniform(0, 2)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    ragged = edges_of(depth)
    y += np.where(ragged, reach * smooth_noise(depth.shape, 3, rng), 0)
    x += np.where(ragged, reach * smooth_noise(depth.shape, 3, rng), 0)
    z = cv2.remap(depth, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    z = np.where(known & (z > 0), z, depth)
    spread = (0.0012 + 0.0019 * np.square(z - 0.4)) * np.float32(rng.uniform(0, 2))
    z = z + unit * (rng.random(z.shape, np.float32) - 0.5) + spread * rng.standard_normal(z.shape, np.float32)
    step = np.maximum(spread, np.float32(0.001))
    return np.where(known, np.maximum(np.round(z / step) * step, np.float32(0.001)), np.float32(0))
