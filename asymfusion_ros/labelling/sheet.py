"""A contact sheet of the chosen frames: colour, depth and mask of each, with why it was chosen."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import whole
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.demo.pictures import Caption, Painter, contact_sheet
from asymfusion_ros.demo.views import View
from asymfusion_ros.labelling.selection import Chosen

WIDTH = 320  # pixels of each panel
MOST = 60  # frames, the best ones: a sheet of more is too tall to open


class Sheet:
    """Takes the frames, then makes the picture."""

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        self._shown: list[tuple[float, Caption, View]] = []

    def add(
        self,
        name: str,
        chosen: Chosen,
        picture: npt.NDArray[np.uint8],
        depth: npt.NDArray[np.float32] | None,
        label: npt.NDArray[np.uint8],
    ) -> None:
        """picture: H x W x 3 RGB. depth: H x W metres, NaN where unknown, or None. label: H x W."""
        size = WIDTH, round(picture.shape[0] * WIDTH / picture.shape[1])
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
        overlay = cv2.addWeighted(small, 0.5, self._labels.palette[mask], 0.5, 0)
        far = None if depth is None else cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST)
        view = View(
            chosen.look.stamp,
            small.astype(np.uint8),
            None if far is None else far.astype(np.float32),
            mask.astype(np.uint8),
            overlay.astype(np.uint8),
        )
        caption = Caption(f"{name}: {', '.join(chosen.reasons)}", f"{chosen.score:.2f}")
        self._shown.append((chosen.score, caption, view))

    def save(self, path: Path, heading: str) -> None:
        """Raises OSError."""
        best = sorted(self._shown, key=lambda one: -one[0])[:MOST]
        painter = Painter(self._labels, [view for _, _, view in best])
        pictures = [painter.picture(view, caption, WIDTH) for _, caption, view in best]
        sheet = contact_sheet(pictures, heading)
        with whole(path) as partial:
            sheet.save(partial, "JPEG", quality=88)
