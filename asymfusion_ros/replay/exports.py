"""Masks in the formats of others: plain PNGs, COCO's panoptic and semantic, KITTI's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.colouring import png
from asymfusion_ros.data.labels import VOID, LabelSet

Picture = npt.NDArray[np.uint8]
# labelIds of the devkits of Cityscapes and KITTI, of the 19 classes that are scored
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


class Export(Protocol):
    """Files of each frame, and in the end some of all. Raises UserError or OSError for what can't be written.

    A frame that is added again overwrites its files.
    """

    def add(self, number: int, name: str, picture: Picture, labels: Picture) -> dict[str, Any]:
        """Frame ``number`` of the recording: its reference image, H x W x 3 RGB, and its labels, H x W.
        Returns what ``finish`` needs to know of it, as JSON can hold it."""

    def finish(self, frames: Iterable[dict[str, Any]]) -> None:
        """Ends with what ``add`` returned for each frame."""


class Pngs:
    """FOLDER/NAME.png: class indices, 255 for none; FOLDER/colour/NAME.png: in the classes' colours."""

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        self._folder = folder
        self._palette = labels.palette

    def add(self, number: int, name: str, picture: Picture, labels: Picture) -> dict[str, Any]:
        """See Export."""
        _write(self._folder / f"{name}.png", labels)
        _write(self._folder / "colour" / f"{name}.png", self._palette[labels])
        return {}

    def finish(self, frames: Iterable[dict[str, Any]]) -> None:
        """See Export."""


class Coco:
    """COCO's panoptic format with every class as stuff (cocodataset.org/#format-data), and its semantic maps.

    FOLDER/images/NAME.png; FOLDER/panoptic/NAME.png: a segment a class, its id in red + 256 green + 65536
    blue; FOLDER/panoptic.json; FOLDER/semantic/NAME.png: category ids. A class's category and segment id is
    its index + 1; 0 is unlabeled.
    """

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        self._folder = folder
        self._labels = labels

    def add(self, number: int, name: str, picture: Picture, labels: Picture) -> dict[str, Any]:
        """See Export."""
        ids = np.where(labels == VOID, 0, labels + np.uint16(1)).astype(np.uint16)
        encoded = np.stack([ids & 255, ids >> 8, np.zeros_like(ids)], 2).astype(np.uint8)
        _write(self._folder / "images" / f"{name}.png", picture)
        _write(self._folder / "panoptic" / f"{name}.png", encoded)
        _write(self._folder / "semantic" / f"{name}.png", ids.astype(np.uint8))
        height, width = labels.shape
        segments = [_segment(ids, int(one)) for one in np.unique(ids) if one]
        image = {"id": number, "file_name": f"{name}.png", "height": height, "width": width}
        return {"image": image, "segments_info": segments}

    def finish(self, frames: Iterable[dict[str, Any]]) -> None:
        """See Export."""
        images, annotations = [], []
        for frame in frames:
            image = frame["image"]
            images.append(image)
            annotations.append(
                {
                    "image_id": image["id"],
                    "file_name": image["file_name"],
                    "segments_info": frame["segments_info"],
                }
            )
        categories = [
            {
                "id": index + 1,
                "name": name,
                "supercategory": name,
                "isthing": 0,
                "color": self._labels.palette[index].tolist(),
            }
            for index, name in enumerate(self._labels.names)
        ]
        content = {"images": images, "annotations": annotations, "categories": categories}
        make_folder(self._folder)
        write_whole(self._folder / "panoptic.json", (json.dumps(content) + "\n").encode())


class Kitti:
    """The layout of KITTI's semantic benchmark: FOLDER/training/image_2, semantic (8-bit ids), semantic_rgb,
    each with NNNNNN_10.png, and FOLDER/labels.txt, an id and its name a line.

    The ids are the classes' indices, 255 for none; of the label set cityscapes19 the benchmark's own.
    """

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        self._folder = folder
        self._labels = labels
        self._ids = np.arange(256, dtype=np.uint8)
        if labels.name == "cityscapes19":
            self._ids[:] = 0
            self._ids[: len(CITYSCAPES_IDS)] = CITYSCAPES_IDS

    def add(self, number: int, name: str, picture: Picture, labels: Picture) -> dict[str, Any]:
        """See Export."""
        folder, file = self._folder / "training", f"{number:06d}_10.png"
        _write(folder / "image_2" / file, picture)
        _write(folder / "semantic" / file, self._ids[labels])
        _write(folder / "semantic_rgb" / file, self._labels.palette[labels])
        return {}

    def finish(self, frames: Iterable[dict[str, Any]]) -> None:
        """See Export."""
        lines = [f"{self._ids[index]} {name}" for index, name in enumerate(self._labels.names)]
        make_folder(self._folder)
        write_whole(self._folder / "labels.txt", ("\n".join(lines) + "\n").encode())


EXPORTS: dict[str, Callable[[Path, LabelSet], Export]] = {"png": Pngs, "coco": Coco, "kitti": Kitti}


def _segment(ids: npt.NDArray[np.uint16], one: int) -> dict[str, Any]:
    rows, columns = np.nonzero(ids == one)
    left, top = int(columns.min()), int(rows.min())
    return {
        "id": one,
        "category_id": one,
        "area": len(rows),
        "bbox": [left, top, int(columns.max()) - left + 1, int(rows.max()) - top + 1],
        "iscrowd": 0,
    }


def _write(path: Path, image: npt.NDArray[np.uint8]) -> None:
    make_folder(path.parent)
    write_whole(path, png(image))
