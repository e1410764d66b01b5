"""Rectangles of other frames in a batch's frames: CutMix (Yun et al. 2019; for masks, French et al. 2020).

A network that cannot rely on the scene around a rectangle has to know what is in it by itself.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from asymfusion_training.data.batch import Batch
from asymfusion_training.data.soft_labels import cells_of

AREA = (0.1, 0.5)  # smallest and largest rectangle, as a share of the frame
# A rectangle is at most so many times as wide, or as narrow, as the frame's shape. Times the largest area no
# more than 1, so that both sides fit.
ASPECT = 2.0


def cut_and_mixed(batch: Batch, chance: float, rng: np.random.Generator) -> Batch:
    """A batch of labelled frames, each of which has a rectangle of another one with ``chance``.

    The rectangle has the same place in both, in all images, the label and the teacher's soft labels, whose
    pixels it keeps whole. The batch that is given is left alone; its names stay those of the frames around.
    A frame that has no other beside it stays as it is.
    """
    assert batch.label is not None
    count, height, width = batch.label.shape
    cells = cells_of(height), cells_of(width)
    donor = int(rng.integers(1, count)) if count > 1 else 0
    label = batch.label.clone()
    images = {name: image.clone() for name, image in batch.images.items()}
    teacher = None if batch.teacher is None else batch.teacher.clone()
    of_pixels = [(label, batch.label), *zip(images.values(), batch.images.values())]
    for index in range(count):
        if rng.random() >= chance:
            continue
        other = (index + donor) % count
        (top, left), (bottom, right) = _rectangle(cells, rng)
        rows = slice(top * height // cells[0], bottom * height // cells[0])
        columns = slice(left * width // cells[1], right * width // cells[1])
        for mine, theirs in of_pixels:
            mine[index, ..., rows, columns] = theirs[other, ..., rows, columns]
        if teacher is not None and batch.teacher is not None:
            teacher[index, :, top:bottom, left:right] = batch.teacher[other, :, top:bottom, left:right]
    return replace(batch, images=images, label=label, teacher=teacher)


def _rectangle(cells: tuple[int, int], rng: np.random.Generator) -> tuple[tuple[int, int], tuple[int, int]]:
    """(top, left) and (bottom, right) of a random rectangle within a grid of so many rows and columns."""
    area = rng.uniform(*AREA)
    aspect = ASPECT ** rng.uniform(-1, 1)
    shares = np.sqrt(area / aspect), np.sqrt(area * aspect)
    sides = [max(1, round(share * side)) for share, side in zip(shares, cells)]
    starts = [int(rng.integers(0, side - own + 1)) for side, own in zip(cells, sides)]
    return (starts[0], starts[1]), (starts[0] + sides[0], starts[1] + sides[1])
