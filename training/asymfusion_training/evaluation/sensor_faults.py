"""Faults of a depth camera, as changes of the images of good frames.

Each takes the images of a frame (H x W x 3 uint8 colour, H x W float32 metres with 0 for none) and those of
another, and gives the images that the robot would have. Pixels are those of the images.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_training.evaluation.missing_depth import with_missing

Array = npt.NDArray[Any]
Images = Mapping[str, Array]
NEAR = 0.4  # metres: a hand or a sticker before the lens that the sensor still measures


@dataclass(frozen=True)
class Fault:
    """What happens to ``modality``: ``change`` of its image and that of another frame.

    scene: the other frame is of another scene, not the one before.
    """

    name: str
    modality: str
    change: Callable[[Array, Array], Array]
    scene: bool = False

    def __call__(self, images: Images, others: Images) -> dict[str, Array]:
        """The images of a frame with the fault; those given stay as they are."""
        return {**images, self.modality: self.change(images[self.modality], others[self.modality])}


def shifted(pixels: int) -> Callable[[Array, Array], Array]:
    """Moved to the right by so many pixels; nothing is measured where it came from."""

    def change(image: Array, other: Array) -> Array:
        moved = np.zeros_like(image)
        moved[:, pixels:] = image[:, : image.shape[1] - pixels]
        return moved

    return change


def mirrored(image: Array, other: Array) -> Array:
    """Left and right exchanged."""
    return np.ascontiguousarray(image[:, ::-1])


def replaced(image: Array, other: Array) -> Array:
    """That of the other frame, which has the same size."""
    return other


def half(value: float) -> Callable[[Array, Array], Array]:
    """The left half at one value; 0 is no measurement, or black."""

    def change(image: Array, other: Array) -> Array:
        changed = image.copy()
        changed[:, : image.shape[1] // 2] = value
        return changed

    return change


def scaled(factor: float) -> Callable[[Array, Array], Array]:
    """Every distance times a factor: another unit than the driver says."""
    return lambda image, other: (image * np.float32(factor)).astype(np.float32)


def unchanged(image: Array, other: Array) -> Array:
    """As it is."""
    return image


CLEAN = Fault("clean", "depth", unchanged)
FAULTS = (
    *(Fault(f"depth shifted by {pixels} pixels", "depth", shifted(pixels)) for pixels in (4, 8, 16, 40)),
    Fault("depth mirrored", "depth", mirrored),
    Fault("depth of the frame before", "depth", replaced),
    Fault("depth of another scene", "depth", replaced, scene=True),
    Fault("depth half blocked: nothing measured", "depth", half(0)),
    Fault("depth half blocked: an object at 0.4 m", "depth", half(NEAR)),
    Fault("depth 10 times too far", "depth", scaled(10)),
    Fault("depth a tenth of what it is", "depth", scaled(0.1)),
    Fault("depth 1000 times too far", "depth", scaled(1000)),
    Fault("colour half dark", "rgb", half(0)),
)


def holes(share: float) -> Callable[[Array, Array], Array]:
    """So much of it not measured, as a sensor leaves out (missing_depth.py)."""
    return lambda image, other: with_missing(image, share, 0, str(zlib.crc32(image.tobytes())))


# No faults: what a good sensor of another kind gives. An alarm here is a false one.
HARMLESS = tuple(
    Fault(f"depth with {round(100 * share)} % of it not measured", "depth", holes(share))
    for share in (0.1, 0.3)
)
