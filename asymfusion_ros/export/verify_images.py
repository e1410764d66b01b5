"""How an exported network of image translation compares with its checkpoint, on frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from asymfusion_ros.checkpoint.description import available_sets
from asymfusion_ros.engine.translator import Translator
from asymfusion_ros.export.verify import Frame

MOST_LEVELS = 1.0  # that a value of any image may be apart: what rounding to 8 bits may show as well
HALF_RANGE = 127.5  # levels in 1 of the network's images of -1 to 1


@dataclass
class Difference:
    """Of the ensemble's and each modality's images, over every set of available modalities, in levels of 0 to
    255: ``largest`` of any value, ``mean`` of all. frames: how many were compared."""

    frames: int
    largest: float
    mean: float


@torch.inference_mode()
def compare_images(exported: Translator, reference: Translator, frames: Iterable[Frame]) -> Difference:
    """``frames``: as ``compare`` of asymfusion_ros.export.verify takes them; labels are not looked at. An
    image that is not of numbers is infinitely far from any."""
    count = values = 0
    largest = total = 0.0
    for given, _ in frames:
        count += 1
        for names in available_sets(list(given)):
            images = reference.images({name: given[name] for name in names})
            inputs = reference.preprocess(images, reference.upload(images))
            ours, theirs = (one.backend.outputs(inputs) for one in (exported, reference))
            pairs = zip((ours.ensemble, *ours.logits), (theirs.ensemble, *theirs.logits), strict=True)
            for mine, other in pairs:
                if mine is None or other is None:
                    continue
                apart = (mine.float() - other.float()).abs().nan_to_num(torch.inf) * HALF_RANGE
                largest = max(largest, float(apart.max()))
                total += float(apart.sum(dtype=torch.float64))
                values += apart.numel()
    return Difference(count, largest, total / max(values, 1))
