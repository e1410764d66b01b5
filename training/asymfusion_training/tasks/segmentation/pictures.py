"""Pictures of what a network makes of frames, to look at during training."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.colouring import colour_values, value_range
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_training.evaluation.scorer import Scorer

Picture = npt.NDArray[np.uint8]
HEIGHT = 180  # pixels of a frame in the picture


def mask_picture(
    backend: Backend, modalities: tuple[str, ...], spec: InputSpec, folder: Folder, names: Sequence[str]
) -> Picture:
    """A row for each frame: its images, its label, and the mask of each modality and of the ensemble.

    H x W x 3 uint8 RGB. Void is black in the label.
    """
    scorer = Scorer(backend, spec, folder, modalities)
    palette = folder.labels.palette
    rows = []
    for name in names:
        frame = scorer.read(name)
        masks = scorer.predictions(frame)
        if len(modalities) == 1:
            del masks["ensemble"]  # the same as its one modality's
        shown = [_shown(frame.images[modality], spec, modality) for modality in modalities]
        shown += [palette[mask] for mask in (frame.label, *masks.values())]
        rows.append(np.hstack([_small(image) for image in shown]))
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _shown(image: npt.NDArray[np.generic], spec: InputSpec, name: str) -> Picture:
    if image.ndim == 3:
        return image.astype(np.uint8)
    values = image.astype(np.float32)
    if spec.modality(name).kind == "range":
        values = np.where(values > 0, values, np.nan)
    return colour_values(values, *value_range(values))


def _small(image: Picture) -> Picture:
    width = round(image.shape[1] * HEIGHT / image.shape[0])
    small = cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return np.pad(small, ((0, 0), (0, 4), (0, 0))).astype(np.uint8)
