"""Soft labels: the probabilities of the classes at each pixel of a frame, as a teacher sees it.

K x h x w uint8, at any resolution: 255 is a probability of 1. A value is off by 1/510 at most, and small ones
are lost: on NYUDv2's 40 classes up to 3.5 % of a pixel's sum. Whoever uses them makes the sum 1 again, after
which a probability is off by 0.023 at most (KL divergence: 0.009 on average). A frame of 40 x 90 x 120 takes
55 kB as a file. A pixel whose values are all 0 has no soft label.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.image_file import read_image
from asymfusion_ros.errors import UserError
from asymfusion_training.data.change import Change, Size

STRIDE = 4  # pixels of the network's input for one of a soft label: the decoder's resolution


@dataclass(frozen=True)
class SoftLabels:
    """A folder of them, a file for each frame: a grey PNG, the classes' planes one below the other."""

    folder: Path
    classes: int

    def path(self, name: str) -> Path:
        """Of a frame's file, which may not be there yet."""
        return self.folder / f"{name}.png"

    def read(self, name: str) -> Tensor:
        """K x h x w uint8. Raises UserError for a file that is missing or none of these."""
        path = self.path(name)
        advice = "remove it, and run the same command again"
        try:
            planes = read_image(path)
        except UserError as error:
            raise UserError(f"{error}: {advice}") from error
        if planes.dtype != np.uint8 or planes.ndim != 2 or len(planes) % self.classes:
            raise UserError(f"{path} holds no soft labels of {self.classes} classes: {advice}")
        return torch.from_numpy(planes.reshape(self.classes, -1, planes.shape[1]))

    def write(self, name: str, probabilities: Tensor) -> None:
        """probabilities: K x h x w floats. Raises UserError where the file cannot be written."""
        planes = (probabilities * 255).round().to(torch.uint8).flatten(0, 1).cpu().numpy()
        path = self.path(name)
        make_folder(path.parent)
        write_whole(path, cv2.imencode(".png", planes)[1].tobytes())


def cells_of(pixels: int) -> int:
    """How many rows (or columns) of soft labels lie along so many pixels of the network's input."""
    return -(-pixels // STRIDE)


def soft_window(labels: Tensor, change: Change, size: Size) -> Tensor:
    """A frame's K x h x w -> the K x h' x w' of a training window of ``size``, at a STRIDEth of it.

    The pixels lie where the change puts those of the label; beyond the frame all classes are 0.
    """
    place = []  # of each row and of each column: -1 to 1 over the frame
    for window, scaled, start in zip(size, change.scaled, (change.top, change.left)):
        count = cells_of(window)
        centres = (torch.arange(count, device=labels.device) + 0.5) * (window / count)
        place.append(2 * (centres + start) / scaled - 1)
    rows, columns = place
    if change.mirrored:
        columns = columns.flip(0)
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)[None]
    values = F.grid_sample(labels[None].float(), grid, padding_mode="border", align_corners=False)[0]
    inside = (rows.abs() <= 1)[:, None] & (columns.abs() <= 1)
    return (values * inside).round().to(torch.uint8)
