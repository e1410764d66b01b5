"""Pictures of what a network makes of frames, to look at during training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.network import SegmentationNetwork
from asymfusion_training.evaluation.scorer import Scorer
from asymfusion_training.evaluation.settings import Settings

Picture = npt.NDArray[np.uint8]
HEIGHT = 180  # pixels of a frame in the picture


def save_mask_picture(
    path: Path, network: SegmentationNetwork, spec: InputSpec, folder: Folder, names: list[str]
) -> Picture:
    """A row for each frame: its inputs, its label, and the mask of each branch and of the ensemble.

    Writes it to ``path`` and returns it, H x W x 3 uint8 RGB. Void is black in the label.
    """
    network.eval()
    modalities = network.config.modalities
    scorer = Scorer(network, spec, folder, modalities, Settings())
    palette = folder.labels.palette
    rows = []
    for name in names:
        parts = scorer.read(name)
        masks = scorer.predictions(parts)
        if len(modalities) == 1:
            del masks["ensemble"]  # the same as the one branch
        shown = [_coloured(parts[m]) if m == "depth" else parts[m] for m in modalities]
        shown += [palette[mask] for mask in (parts["label"], *masks.values())]
        rows.append(np.hstack([_small(image) for image in shown]))
    width = max(row.shape[1] for row in rows)
    picture = np.vstack([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows])
    _, content = cv2.imencode(".png", picture[..., ::-1])
    write_whole(path, content.tobytes())
    return picture


def _coloured(depth: npt.NDArray[np.float32]) -> Picture:
    """Near is bright; black where there is no depth."""
    known = depth > 0
    farthest = np.percentile(depth[known], 98) if known.any() else 1.0
    grey = (255 * (1 - np.clip(depth / farthest, 0, 1) * 0.9)).astype(np.uint8)
    coloured = cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return np.where(known[..., None], coloured, 0).astype(np.uint8)


def _small(image: Picture) -> Picture:
    width = round(image.shape[1] * HEIGHT / image.shape[0])
    small = cv2.resize(image, (width, HEIGHT), interpolation=cv2.INTER_NEAREST)
    return np.pad(small, ((0, 0), (0, 4), (0, 0)))
