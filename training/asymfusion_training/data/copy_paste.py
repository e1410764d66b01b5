"""Objects of a frame set down once more beside themselves, behind what is nearer than they are.

An object moves along its rows of pixels alone: there a camera that is held upright sees the floor at one
distance, so that size and distance still belong together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.folder import Frame
from asymfusion_ros.data.labels import VOID
from asymfusion_ros.data.modality import Modality

AREA = (0.001, 0.05)  # smallest and largest object, as a share of the frame
MOST = 3  # objects of a frame

Mask = npt.NDArray[np.bool_]


def with_copies(frame: Frame, modalities: Mapping[str, Modality], rng: np.random.Generator) -> Frame:
    """``frame`` with one to three of its objects copied to another place of the same row.

    An object is a connected part of one class of the label, of 0.1 % to 5 % of the frame. A class is drawn by
    the inverse of its share of the frame, so that rare ones come more often. Where a range of ``modalities``
    was measured at both places, the copy hides only what is farther. All images and the label change alike; a
    frame without such an object stays as it is. The frame that is given is left alone.
    """
    assert frame.label is not None
    ranges = [name for name, modality in modalities.items() if modality.kind == "range"]
    label, images = frame.label.copy(), {name: image.copy() for name, image in frame.images.items()}
    for _ in range(int(rng.integers(1, MOST + 1))):
        found = _object(frame.label, rng)
        if found is None:
            break
        source, columns = found
        shift = int(rng.integers(-columns.start, source.shape[1] - columns.stop + 1))
        rows, from_columns = np.nonzero(source)
        to_columns = from_columns + shift
        seen = np.ones(len(rows), bool)
        for name in ranges:
            ours, theirs = frame.images[name][rows, from_columns], images[name][rows, to_columns]
            seen &= ~(
                _measured(ours, modalities[name]) & _measured(theirs, modalities[name]) & (ours > theirs)
            )
        rows, from_columns, to_columns = rows[seen], from_columns[seen], to_columns[seen]
        label[rows, to_columns] = frame.label[rows, from_columns]
        for name, image in images.items():
            image[rows, to_columns] = frame.images[name][rows, from_columns]
    return Frame(frame.name, images, label)


def _object(label: npt.NDArray[np.uint8], rng: np.random.Generator) -> tuple[Mask, slice] | None:
    """The pixels of one object of H x W ``label`` and the columns that it has; None where there is none."""
    counts = np.bincount(label.reshape(-1), minlength=VOID + 1)[:VOID]
    classes = np.flatnonzero(counts)
    while len(classes):
        odds = 1 / counts[classes]
        chosen = rng.choice(len(classes), p=odds / odds.sum())
        _, parts, sizes, _ = cv2.connectedComponentsWithStats((label == classes[chosen]).astype(np.uint8))
        areas = sizes[:, cv2.CC_STAT_AREA] / label.size
        fit = np.flatnonzero((areas >= AREA[0]) & (areas <= AREA[1]))
        fit = fit[fit > 0]  # 0 is the background
        if len(fit):
            part = int(rng.choice(fit))
            left, width = sizes[part, cv2.CC_STAT_LEFT], sizes[part, cv2.CC_STAT_WIDTH]
            return parts == part, slice(int(left), int(left + width))
        classes = np.delete(classes, chosen)
    return None


def _measured(values: npt.NDArray[Any], modality: Modality) -> Mask:
    """Which of a range's values are a measurement."""
    return np.isfinite(values) & (values != modality.fill)
