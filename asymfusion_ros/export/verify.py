"""How an exported network compares with the checkpoint that it was made from, on frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from asymfusion_ros.checkpoint.description import available_sets
from asymfusion_ros.engine.segmenter import Image, Segmenter

VOID = 255


@dataclass
class Agreement:
    """frames: how many were compared. agreement: the share of pixels with the same class, 0 to 1, over every
    set of available modalities. largest: the greatest difference of the ensemble's logits. mean_iou: of the
    exported network and of the checkpoint, 0 to 1, where labels were given."""

    frames: int
    agreement: float
    largest: float
    mean_iou: float | None = None
    mean_iou_of_checkpoint: float | None = None


Frame = tuple[Mapping[str, Image], npt.NDArray[np.uint8] | None]


def compare(exported: Segmenter, reference: Segmenter, frames: Iterable[Frame]) -> Agreement:
    """``frames``: images by modality, and the label image (H x W, 255 is void) where there is one.

    A frame's set of available modalities is all that it has; each smaller set is compared on it too, but does
    not enter the scores.
    """
    return compare_several([exported], reference, frames)[0]


@torch.inference_mode()
def compare_several(
    others: Sequence[Segmenter], reference: Segmenter, frames: Iterable[Frame]
) -> list[Agreement]:
    """The same for each of ``others``; the reference computes once."""
    count = pixels = 0
    classes = len(reference.label_set.names)
    same, largest = [0] * len(others), [0.0] * len(others)
    matrices = np.zeros((1 + len(others), classes, classes), np.int64)
    for given, label in frames:
        count += 1
        for place, names in enumerate(available_sets(list(given))):
            images = reference.images({name: given[name] for name in names})
            inputs = reference.preprocess(images, reference.upload(images))
            size = reference.reference(images).height, reference.reference(images).width
            logits = [one.infer(inputs).float().cpu() for one in (reference, *others)]
            labels = [reference.postprocess(one, size, confidence=False).numpy().labels for one in logits]
            pixels += labels[0].size
            for number in range(len(others)):
                same[number] += int((labels[0] == labels[1 + number]).sum())
                difference = float((logits[0] - logits[1 + number]).abs().max())
                largest[number] = max(largest[number], difference)
            if label is not None and place == 0:
                known = label != VOID
                for matrix, found in zip(matrices, labels):
                    pairs = label[known].astype(np.int64) * classes + found[known]
                    matrix += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    of_reference, *scores = [_mean_iou(one) if one.any() else None for one in matrices]
    return [
        Agreement(count, same[i] / max(pixels, 1), largest[i], scores[i], of_reference)
        for i in range(len(others))
    ]


def _mean_iou(matrix: npt.NDArray[np.int64]) -> float:
    """Over the classes that occur in labels or predictions."""
    both = np.diag(matrix)
    either = matrix.sum(0) + matrix.sum(1) - both
    return float((both[either > 0] / either[either > 0]).mean())
