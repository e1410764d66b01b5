"""CVAT's format "Segmentation mask 1.1", in which it imports and exports the masks of a task.

A zip in the layout of PASCAL VOC: labelmap.txt (a line `name:red,green,blue::` a class),
ImageSets/Segmentation/default.txt (a frame a line), SegmentationClass/FRAME.png (the colour of each pixel's
class), SegmentationObject/FRAME.png (a colour an object; black pixels are none's, and are not imported).
docs.cvat.ai/docs/dataset_management/formats/format-smask
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import whole
from asymfusion_ros.data.bounds import check_encoded_size
from asymfusion_ros.data.colouring import png
from asymfusion_ros.data.frame_id import check_frame_id
from asymfusion_ros.data.image_file import decode_image, image_size
from asymfusion_ros.data.labels import VOID, Colour, LabelSet, customary_colours
from asymfusion_ros.data.text_file import one_line
from asymfusion_ros.errors import DAMAGED, ImageError, UserError
from asymfusion_ros.labelling.colours import class_colours, hexadecimal
from asymfusion_ros.labelling.frame_files import FrameFiles

Label = npt.NDArray[np.uint8]
BLACK = (0, 0, 0)
MASKS, OBJECTS, MAP = "SegmentationClass", "SegmentationObject", "labelmap.txt"
LARGEST_MAP = 1 << 20  # bytes
LARGEST_PNG = 1 << 26
MOST_ENTRIES = 1 << 20
FIXED = (1980, 1, 1, 0, 0, 0)  # the time of every entry: the same frames make the same file


def check_names(labels: LabelSet) -> None:
    """Raises UserError for class names that a line of labelmap.txt cannot hold."""
    for name in labels.names:
        if ":" in name or name.startswith("#") or name != name.strip() or not name.isprintable():
            raise UserError(
                f"class {name!r} cannot be written to CVAT's labelmap.txt, whose lines are name:colour:: "
                "(no colon, no leading #, no space at an end): use --format label_studio"
            )


class CvatWriter:
    """annotations.zip to import and labels.json to paste into the task's raw labels, in ``folder``."""

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        check_names(labels)
        self._folder = folder
        self._labels = labels
        self._palette = np.zeros((256, 3), np.uint8)
        self._palette[: len(labels)] = class_colours(labels)
        self._objects = np.zeros((256, 3), np.uint8)
        self._objects[: len(labels)] = customary_colours(len(labels))
        self._images: dict[str, tuple[bytes, bytes]] = {}

    def add(self, name: str, label: Label) -> None:
        """A frame and its pre-label, H x W. Each of its classes becomes one mask in CVAT."""
        self._images[name] = png(self._palette[label]), png(self._objects[label])

    def finish(self) -> None:
        """Writes the files. Raises OSError."""
        labels = self._labels
        colours = class_colours(labels)
        none = "background" if "background" not in labels.names else "unlabeled"
        lines = ["# label:color_rgb:parts:actions", f"{none}:0,0,0::"]
        lines += [f"{name}:{red},{green},{blue}::" for name, (red, green, blue) in zip(labels.names, colours)]
        raw = [
            {"name": name, "color": hexadecimal(colour), "attributes": []}
            for name, colour in zip(labels.names, colours)
        ]
        self._folder.mkdir(parents=True, exist_ok=True)
        with whole(self._folder / "labels.json") as partial:
            partial.write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
        with (
            whole(self._folder / "annotations.zip") as partial,
            zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive,
        ):
            _put(archive, MAP, ("\n".join(lines) + "\n").encode())
            listed = "".join(f"{name}\n" for name in self._images)
            _put(archive, "ImageSets/Segmentation/default.txt", listed.encode())
            for name, (masks, objects) in self._images.items():
                _put(archive, f"{MASKS}/{name}.png", masks)
                _put(archive, f"{OBJECTS}/{name}.png", objects)


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, FIXED), data)


def read_cvat(path: Path, frames: FrameFiles, left_out: list[str]) -> Iterator[tuple[str, Label]]:
    """The frames that an exported zip has masks of, and their labels, H x W, VOID where there is no class.

    ``left_out`` gets the masks of frames that the folder does not have. Nothing is unpacked to the disk.
    Raises UserError naming what is wrong.
    """
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    except (zipfile.BadZipFile, NotImplementedError, *DAMAGED) as error:
        raise UserError(f"{path} is no zip that can be read ({one_line(error)}): export it again") from error
    with archive:
        entries = {entry.filename: entry for entry in archive.infolist() if entry.filename[-1:] != "/"}
        if len(entries) > MOST_ENTRIES:
            raise UserError(f"{path} has {len(entries)} entries: is it the right file?")
        for name in entries:
            check_frame_id(name, path)
        prefix = next((name[: -len(MAP)] for name in sorted(entries) if name.split("/")[-1] == MAP), None)
        if prefix is None:
            raise UserError(f'{path} has no {MAP}: export the task in the format "Segmentation mask 1.1"')
        text = _read(archive, entries[prefix + MAP], path, LARGEST_MAP)
        table = _LabelMap(text, f"{path}: {MAP}", frames.folder.labels)
        start = f"{prefix}{MASKS}/"
        masks = [name for name in entries if name.startswith(start) and name.lower().endswith(".png")]
        for entry in sorted(masks):
            shown = entry[len(start) : -len(".png")]
            if (frame := frames.find(shown)) is None:
                left_out.append(shown)
                continue
            image = _image(archive, entries[entry], path, frames, frame)
            objects = None
            if (other := entries.get(f"{prefix}{OBJECTS}/{shown}.png")) is not None:
                objects = _image(archive, other, path, frames, frame)
            yield frame, table.labels(image, objects, f"{path}: {entry}")


class _LabelMap:
    """What the colours of labelmap.txt mean: a class of the folder, or none."""

    def __init__(self, text: bytes, what: str, labels: LabelSet) -> None:
        self._what = what
        self._labels = labels
        self._names: list[str] = []
        self._by_colour: dict[Colour, str] = {}
        try:
            lines = text.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"{what} is not UTF-8 text: {one_line(error.reason)}") from error
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            fields = line.strip().split(":")
            try:
                colour = tuple(int(value) for value in fields[1].split(","))
                if len(fields) != 4 or len(colour) != 3 or not all(0 <= value <= 255 for value in colour):
                    raise ValueError
            except (IndexError, ValueError):
                raise UserError(f"{what}: line {number} is not name:red,green,blue::") from None
            self._names.append(fields[0])
            self._by_colour.setdefault((colour[0], colour[1], colour[2]), fields[0])

    def labels(self, image: Label, objects: Label | None, what: str) -> Label:
        """H x W x 3 BGR (or H x W of places in the list) -> H x W."""
        if image.ndim == 2:
            values = image.astype(np.int64)
            meaning = dict(enumerate(self._names))
        else:
            values = _packed(image)
            meaning = {_packed_colour(colour): name for colour, name in self._by_colour.items()}
        empty = np.zeros(values.shape, bool)
        if objects is not None and image.ndim == 3:
            # Where no object is, the mask has the colour of whatever class the tool lists first.
            empty = (objects if objects.ndim == 2 else _packed(objects)) == 0
        label = np.full(values.shape, VOID, np.uint8)
        for value in np.unique(values[~empty]):
            where = (values == value) & ~empty
            name = meaning.get(int(value))
            if name is None and image.ndim == 3 and value == 0:
                continue
            if name is None:
                shown = ",".join(str(int(value) >> shift & 255) for shift in (16, 8, 0))
                shown = shown if image.ndim == 3 else str(int(value))
                raise UserError(
                    f"{what} has {where.sum()} pixels of the colour {shown}, which {MAP} does not list"
                )
            if name in self._labels.names:
                label[where] = self._labels.names.index(name)
            elif not (value == 0 and name in ("background", "unlabeled", "unlabelled")):
                raise UserError(
                    f"{what} has the class {name!r}, which the folder does not have: rename the label, or "
                    f"give the folder's dataset.yaml other labels (now {', '.join(self._labels.names)})"
                )
        return label


def _image(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, frames: FrameFiles, name: str
) -> Label:
    what = f"{path}: {entry.filename}"
    data = _read(archive, entry, path, LARGEST_PNG)
    size = image_size(data)
    if size is None or size == (0, 0):
        raise UserError(f"{what} is no PNG")
    try:
        check_encoded_size(size[1], size[0], len(data))
    except ImageError as error:
        raise UserError(f"{what}: {error}") from error
    frames.check_size(name, size, what)
    image = decode_image(data, what, cv2.IMREAD_UNCHANGED)
    if image.dtype != np.uint8 or (image.ndim == 3 and image.shape[2] not in (3, 4)):
        raise UserError(f"{what} is no mask: it has 8 bits, and one channel or three")
    found: Label = image if image.ndim == 2 else image[..., :3]
    return found


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, largest: int) -> bytes:
    what = f"{path}: {entry.filename}"
    if entry.flag_bits & 1:
        raise UserError(f"{what} is encrypted: export it without a password")
    try:
        with archive.open(entry) as file:
            data = file.read(largest + 1)  # whatever size its header names
    except (zipfile.BadZipFile, NotImplementedError, *DAMAGED) as error:
        raise UserError(f"{what} is damaged ({one_line(error)}): export it again") from error
    if len(data) > largest:
        raise UserError(f"{what} has more than {largest} bytes: is it the right file?")
    return data


def _packed(image: Label) -> npt.NDArray[np.int64]:
    """H x W x 3 BGR -> H x W: red, green and blue in one number."""
    wide = image.astype(np.int64)
    return wide[..., 2] << 16 | wide[..., 1] << 8 | wide[..., 0]


def _packed_colour(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]
