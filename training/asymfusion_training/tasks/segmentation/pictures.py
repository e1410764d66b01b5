"""Pictures of what a network makes of frames, to look at during training."""

from __future__ import annotations

from collections.abc import Sequence

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_training.evaluation.picture_rows import Picture, in_rows, shown
from asymfusion_training.evaluation.scorer import Scorer


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
        images = [shown(frame.images[modality], spec, modality) for modality in modalities]
        rows.append([*images, *(palette[mask] for mask in (frame.label, *masks.values()))])
    return in_rows(rows)
