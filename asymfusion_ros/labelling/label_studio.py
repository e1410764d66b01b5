"""Label Studio's tasks with brush masks: JSON to import, with a labelling configuration, and its JSON export.

labelstud.io/guide/predictions, labelstud.io/guide/task_format, labelstud.io/tags/brushlabels
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import whole
from asymfusion_ros.data.labels import VOID, LabelSet
from asymfusion_ros.data.text_file import one_line, parse_json, read_text
from asymfusion_ros.errors import UserError
from asymfusion_ros.labelling.brush_rle import decode, encode
from asymfusion_ros.labelling.colours import class_colours, hexadecimal
from asymfusion_ros.labelling.frame_files import FrameFiles

Label = npt.NDArray[np.uint8]
BRUSH, IMAGE = "label", "image"  # names of the tags in the configuration
LARGEST = 1 << 28  # bytes of an export
VALUE_KEYS = ("format", "rle", "brushlabels")


class LabelStudioWriter:
    """tasks.json and config.xml in ``folder``. ``image_url``: what comes before the images' names;
    ``version``: of the model that made the pre-labels."""

    def __init__(self, folder: Path, labels: LabelSet, image_url: str, version: str) -> None:
        self._folder = folder
        self._labels = labels
        self._url = image_url
        self._version = version
        self._tasks: list[dict[str, Any]] = []

    def add(self, name: str, label: Label, score: float) -> None:
        """A frame, its pre-label, H x W, and how sure the network is of it, 0 to 1. Each class becomes a
        brush region."""
        height, width = label.shape
        regions = [
            {
                "id": f"{name}-{value}",
                "from_name": BRUSH,
                "to_name": IMAGE,
                "type": "brushlabels",
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "value": {
                    "format": "rle",
                    "rle": encode(label == value),
                    "brushlabels": [self._labels.names[value]],
                },
            }
            for value in np.unique(label[label != VOID]).tolist()
        ]
        prediction = {"model_version": self._version, "score": round(score, 4), "result": regions}
        data = {"image": f"{self._url}{quote(name)}.png", "frame": name}
        self._tasks.append({"data": data, "predictions": [prediction]})

    def finish(self) -> None:
        """Writes the files. Raises OSError."""
        view = ElementTree.Element("View")
        ElementTree.SubElement(view, "Image", name=IMAGE, value="$image", zoom="true")
        brush = ElementTree.SubElement(view, "BrushLabels", name=BRUSH, toName=IMAGE)
        for name, colour in zip(self._labels.names, class_colours(self._labels)):
            ElementTree.SubElement(brush, "Label", value=name, background=hexadecimal(colour))
        ElementTree.indent(view)
        self._folder.mkdir(parents=True, exist_ok=True)
        with whole(self._folder / "config.xml") as partial:
            partial.write_bytes(ElementTree.tostring(view, "utf-8") + b"\n")
        with whole(self._folder / "tasks.json") as partial, partial.open("w", encoding="utf-8") as file:
            json.dump(self._tasks, file)
            file.write("\n")


def read_label_studio(path: Path, frames: FrameFiles, left_out: list[str]) -> Iterator[tuple[str, Label]]:
    """The annotated frames of an export in the format JSON and their labels, H x W, VOID where there is no
    region. A later region lies above an earlier one; of several annotations the last counts.

    ``left_out`` gets the annotated images that the folder does not have. Raises UserError naming what is
    wrong.
    """
    try:
        tasks = parse_json(read_text(path, LARGEST))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {one_line(error)}") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise UserError(f"{path} is no list of tasks: export the project in the format JSON")
    for number, task in enumerate(tasks):
        what = f"{path}: task {task.get('id', number)}"
        if "annotations" not in task:
            raise UserError(f"{what} has no annotations: export in the format JSON, not JSON-MIN")
        try:
            results = _last(task["annotations"])
            shown = _image_of(task)
        except (AttributeError, KeyError, TypeError) as error:
            raise UserError(
                f"{what} is not as Label Studio exports it ({type(error).__name__}: {one_line(error)})"
            ) from error
        if results is None:
            continue
        name = frames.find(shown)
        if name is None:
            left_out.append(shown)
            continue
        label = np.full(frames.size(name), VOID, np.uint8)
        for result in results:
            _draw(label, result, frames, name, what)
        yield name, label


def _last(annotations: Any) -> list[Any] | None:
    """The regions of the annotation that counts; None where there is none."""
    kept = [one for one in annotations if not one.get("was_cancelled")]
    return list(kept[-1]["result"]) if kept else None


def _image_of(task: Mapping[str, Any]) -> str:
    """The frame's name, or the path of its image, without its ending."""
    data = task["data"]
    if isinstance(data.get("frame"), str):
        return str(data["frame"])
    url = unquote(str(data["image"]))
    path = url.split("?d=")[-1].split("?")[0]
    return path.rsplit(".", 1)[0]


def _draw(label: Label, result: Any, frames: FrameFiles, name: str, what: str) -> None:
    """Gives a region's pixels its class."""
    try:
        kind = str(result["type"])
        if kind != "brushlabels":
            raise UserError(f"{what} ({name}) has a region of type {kind}: only brush regions are read")
        value = result["value"]
        height, width = int(result["original_height"]), int(result["original_width"])
        _, rle, classes = (value[key] for key in VALUE_KEYS)
        names = [str(one) for one in classes]
        rotation = result.get("image_rotation") or 0
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise UserError(
            f"{what} ({name}) has a region that is not as Label Studio exports it ({type(error).__name__}: "
            f"{one_line(error)})"
        ) from error
    if rotation:
        raise UserError(f"{what} ({name}) is rotated by {one_line(rotation)} degrees: turn the image back")
    if len(names) != 1:
        raise UserError(f"{what} ({name}) has a region of {len(names)} classes: give each one")
    if names[0] not in frames.folder.labels.names:
        raise UserError(
            f"{what} ({name}) has the class {one_line(names[0])!r}, which the folder does not have: rename "
            f"it, or give the folder's dataset.yaml other labels (now "
            f"{', '.join(frames.folder.labels.names)})"
        )
    if (height, width) != label.shape:
        frames.check_size(name, (height, width), f"{what}: a region")
    try:
        mask = decode(rle, height, width)
    except (TypeError, ValueError) as error:
        raise UserError(f"{what} ({name}) has a region whose code is wrong: {one_line(error)}") from error
    label[mask] = frames.folder.labels.names.index(names[0])
