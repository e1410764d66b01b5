"""Which of a frame's images are of use: those in which anything was measured."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages.stamped_image import Frame

SAMPLED = 16


def read_measured(
    frame: Frame, modalities: Mapping[str, Modality], topics: Mapping[str, str]
) -> tuple[dict[str, RawImage], dict[str, str]]:
    """The images of use, and a line for each of the others. ``topics``: the images' names in messages.

    Raises ImageError where there is none, or one does not decode.
    """
    images: dict[str, RawImage] = {}
    reasons = {}
    for name, image in frame.items():
        try:
            raw = image.read()
        except ImageError as error:
            raise ImageError(f"{topics[name]}: {error}") from error
        if anything_valid(raw, modalities[name]):
            images[name] = raw
        else:
            size = f"{raw.width}x{raw.height}"
            reasons[name] = f"{topics[name]}: no pixel of the {size} {name} image is valid"
    lines = {}
    for name, reason in reasons.items():
        if not images:
            raise ImageError(f"{reason}, and there is no other image: uncover the {name} camera")
        rest = f"only {next(iter(images))}" if len(images) == 1 else " and ".join(images)
        lines[name] = f"{reason}: going on with {rest}; is the {name} camera covered or too close?"
    return images, lines


def anything_valid(image: RawImage, modality: Modality) -> bool:
    """Whether anything was measured at any pixel. Looks at a few first, which mostly settles it."""
    if modality.kind == "colour":  # every pixel of which counts as measured
        return True
    pixels = image.pixels()
    return any(
        bool(modality.valid(torch.from_numpy(some.astype(np.float32))).any())
        for some in (pixels[::SAMPLED, ::SAMPLED], pixels)
    )
