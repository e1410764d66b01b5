"""Images to measure and to compare with, where there are no real ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.modality import Modality


def made_images(
    rng: np.random.Generator, modalities: Sequence[Modality], height: int, width: int
) -> dict[str, npt.NDArray[np.generic]]:
    """An image of noise over a ramp for each modality, by name: H x W x 3 uint8 RGB, or H x W uint16."""
    ramp = np.linspace(0, 1, height)[:, None] + np.linspace(0, 1, width)
    made: dict[str, npt.NDArray[np.generic]] = {}
    for modality in modalities:
        if modality.kind == "colour":
            grey = np.repeat((ramp * 100).astype(np.uint8)[..., None], 3, 2)
            made[modality.name] = grey + rng.integers(0, 50, (height, width, 3), np.uint8)
        else:
            counts = (800 + 2000 * ramp).astype(np.uint16)
            made[modality.name] = counts + rng.integers(0, 30, (height, width), np.uint16)
    return made
