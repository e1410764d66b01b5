"""The folder format: a data set of RGB, depth and label images that people can make by hand.

Image translation needs no labels: a folder may have none, and its dataset.yaml then names none.

dataset.yaml       name; labels: a built-in set's name or a list of class names; depth_scale: metres
                   per stored unit; void: the label value that means unlabelled; images: further modalities
rgb/ID.jpg|png     8-bit colour
depth/ID.png       8- or 16-bit, 0 where there is no depth
label/ID.png       8-bit class indices
SPLIT.txt          one ID a line

``images`` names each modality's kind (colour, range, scalar; may be left out for a known name), the physical
unit of a stored step, and its folder (the modality's name where left out)::

    images:
      rgb: {}
      depth: {unit: 0.001}
      thermal: {unit: 0.01, folder: flir}
      haze: {kind: scalar}

Without it a folder has rgb, and depth in steps of depth_scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.frame_id import check_frame_id
from asymfusion_ros.data.image_file import decode_image, read_image
from asymfusion_ros.data.labels import VOID, LabelSet, label_set
from asymfusion_ros.data.modality import Modality, modality
from asymfusion_ros.data.text_file import one_line, read_text
from asymfusion_ros.data.yaml_file import read_yaml
from asymfusion_ros.errors import ConfigError, ImageError, UserError
from asymfusion_ros.settings import check_limits, checked, setting

Array = npt.NDArray[Any]
LONGEST_SPLIT = 64 * 1024 * 1024  # bytes of a split's list
SHARDS = "{}.shards.json"  # the list of a split's tar files, in the place of SPLIT.txt


@dataclass(frozen=True)
class Frame:
    """The images of one instant.

    images: by modality's name, H x W x 3 uint8 RGB for colour, else H x W float32 in the modality's physical
    unit. label: H x W uint8, void 255; None where there is none. All of one size.
    """

    name: str
    images: Mapping[str, Array]
    label: npt.NDArray[np.uint8] | None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of its images."""
        height, width = next(iter(self.images.values())).shape[:2]
        return height, width


@dataclass(frozen=True)
class ImageFiles:
    """Where a folder holds a modality's images. unit: physical unit of a stored step."""

    modality: Modality
    folder: Path
    unit: float

    def path(self, name: str) -> Path:
        """The image's file: .jpg only for colour."""
        jpg = self.folder / f"{name}.jpg"
        return jpg if self.modality.kind == "colour" and jpg.exists() else jpg.with_suffix(".png")

    def read(self, name: str) -> Array:
        """The image, as a Frame has it. Raises UserError for a file that is missing or does not decode."""
        path = self.path(name)
        if self.modality.kind == "colour" and not path.is_file():
            raise UserError(
                f"{path.with_suffix('.jpg')} is missing (and {path.name} too), but a split lists {name!r}"
            )
        return self._measured(read_image(path, self._flags), str(path))

    def decode(self, data: bytes, path: str) -> Array:
        """The same of a file's bytes; ``path``: what it is called."""
        return self._measured(decode_image(data, path, self._flags), path)

    @property
    def _flags(self) -> int:
        return cv2.IMREAD_COLOR if self.modality.kind == "colour" else cv2.IMREAD_UNCHANGED

    def _measured(self, stored: Array, path: str) -> Array:
        try:
            return self.modality.from_file(stored, self.unit)
        except ImageError as error:
            raise UserError(f"{path} {error}") from error


@dataclass(frozen=True)
class _ImageEntry:
    kind: str | None = setting(None, "colour, range or scalar")
    unit: float | None = setting(None, "physical unit of a stored step", above=0)
    folder: str | None = setting(None, "the folder's name")

    def __post_init__(self) -> None:
        check_limits(self, "images: ")


class Folder:
    """A data set in the folder format. Raises UserError naming the file that is missing or wrong.

    images: the ImageFiles of each modality that it has. labelled: whether its frames have labels.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        description = self.root / "dataset.yaml"
        if not description.is_file():
            raise UserError(f"{self.root} is not a data set: there is no {description}")
        values = read_yaml(description)
        try:
            self.name = str(values["name"])
            listed = "images" in values
            self.labelled = not listed or "labels" in values
            self._labels = label_set(values["labels"], self.name) if self.labelled else None
            self.depth_scale = (
                float(values["depth_scale"]) if "depth_scale" in values or not listed else 0.001
            )
            self.void = int(values.get("void", VOID))
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{description} is wrong ({type(error).__name__}: {one_line(error)}); "
                "it needs name, labels, depth_scale"
            ) from error
        if not (np.isfinite(self.depth_scale) and self.depth_scale > 0):
            raise UserError(
                f"{description}: depth_scale is {self.depth_scale}; it is metres per unit, above 0"
            )
        if not 0 <= self.void <= 255:
            raise UserError(f"{description}: void is {self.void}; it is a value of 8-bit labels, 0 to 255")
        try:
            self.images = self._images(values["images"] if listed else {"rgb": {}, "depth": {}})
        except ConfigError as error:
            raise UserError(f"{description}: {error}") from error

    @property
    def labels(self) -> LabelSet:
        """The classes of its labels. Raises ConfigError where it has none."""
        if self._labels is None:
            raise ConfigError(
                f"{self.root} has no labels, which segmentation needs: name them under labels in its "
                "dataset.yaml, or train image translation on it"
            )
        return self._labels

    def _images(self, described: object) -> dict[str, ImageFiles]:
        if not isinstance(described, Mapping) or not described:
            raise ConfigError(f"images is {described!r}; write one `name: {{kind: ..., unit: ...}}` a line")
        found = {}
        for name, values in described.items():
            if not isinstance(name, str):
                raise ConfigError(f"images: {name!r} is not the name of a modality")
            entry = _ImageEntry(**checked(_ImageEntry, values or {}, f"images: {name}"))
            one = modality(name, entry.kind)
            unit = entry.unit or (self.depth_scale if one.kind == "range" else one.unit)
            found[name] = ImageFiles(one, self.root / (entry.folder or name), unit)
        return found

    def check_modalities(self, modalities: Iterable[str]) -> None:
        """Raises ConfigError naming the modalities that the folder has no images of."""
        lacking = sorted(set(modalities) - set(self.images))
        if lacking:
            raise ConfigError(
                f"modalities: {self.root} has images of {', '.join(self.images)}, not of "
                f"{', '.join(lacking)}: list them under images in its dataset.yaml"
            )

    def names(self, split: str) -> list[str]:
        """The frame names of a split, each a relative path that stays below a folder (``scene/0001``).

        Raises UserError where the split is missing or empty, or a name would lead elsewhere.
        """
        path = self.root / f"{split}.txt"
        if not path.is_file() and (self.root / SHARDS.format(split)).is_file():
            raise UserError(
                f"split {split!r} of {self.root} is in shards, which only the training of image translation "
                "reads: prepare the data without --shards for this"
            )
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in self.root.glob("*.txt"))) or "none"
            raise UserError(f"split {split!r} is missing: no {path} (splits there: {known})")
        lines = read_text(path, LONGEST_SPLIT).splitlines()
        names = [line.strip() for line in lines if line.strip()]
        if not names:
            raise UserError(f"split {split!r} is empty: {path} lists no frames")
        for name in names:
            check_frame_id(name, path)
        return names

    def read(self, name: str, modalities: Sequence[str] | None = None, label: bool = True) -> Frame:
        """One frame with the images of ``modalities`` (None: all that the folder has), and its label where
        the folder has labels.

        No other file needs to be there, so that data without one modality serve the others. Raises UserError
        for a file that is missing, does not decode or has another size than the frame's first, and
        ConfigError for a modality that the folder has no images of.
        """
        modalities = tuple(self.images) if modalities is None else modalities
        self.check_modalities(modalities)
        images = {modality: self.images[modality].read(name) for modality in modalities}
        labels = self.read_label(name) if label and self.labelled else None
        paths = [self.images[modality].path(name) for modality in images]
        read = [*zip(paths, images.values()), *([] if labels is None else [(self.label_path(name), labels)])]
        check_sizes(read)
        return Frame(name, images, labels)

    def label_path(self, name: str) -> Path:
        """The file of a frame's label."""
        return self.root / "label" / f"{name}.png"

    def read_label(self, name: str) -> npt.NDArray[np.uint8]:
        """H x W uint8, void 255. Raises UserError as ``read`` does."""
        path = self.label_path(name)
        label = read_image(path, cv2.IMREAD_UNCHANGED)
        if label.ndim != 2 or label.dtype != np.uint8:
            raise UserError(f"{path} is not an 8-bit image of one channel holding class indices")
        if self.void != VOID:
            label = np.where(label == self.void, np.uint8(VOID), label)
        beyond = (label >= len(self.labels)) & (label != VOID)
        if beyond.any():
            raise UserError(
                f"{path} has label {label[beyond][0]}, but {self.name} has classes 0 to "
                f"{len(self.labels) - 1} and void {self.void}"
            )
        return label


def check_sizes(read: Sequence[tuple[object, Array]]) -> None:
    """Raises UserError where the images of a frame, each with its file, are not all of one size."""
    for path, image in read[1:]:
        (height, width), (first_height, first_width) = image.shape[:2], read[0][1].shape[:2]
        if (height, width) != (first_height, first_width):
            raise UserError(f"{path} is {width}x{height}, but {read[0][0]} is {first_width}x{first_height}")
