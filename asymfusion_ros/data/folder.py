"""The folder format: a data set of RGB, depth and label images that people can make by hand.

dataset.yaml       name; labels: a built-in set's name or a list of class names; depth_scale: metres
                   per stored unit; void: the label value that means unlabelled
rgb/ID.jpg|png     8-bit colour
depth/ID.png       8- or 16-bit, 0 where there is no depth
label/ID.png       8-bit class indices
SPLIT.txt          one ID a line
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from asymfusion_ros.data.labels import VOID, LabelSet, label_set
from asymfusion_ros.errors import ConfigError, UserError

MODALITIES = ("rgb", "depth")


@dataclass(frozen=True)
class Sample:
    """rgb: H x W x 3 uint8. depth: H x W float32 metres, 0 where unknown. label: H x W uint8, void 255."""

    name: str
    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    label: npt.NDArray[np.uint8] | None


class Folder:
    """A data set in the folder format. Raises UserError naming the file that is missing or wrong."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        description = self.root / "dataset.yaml"
        if not description.is_file():
            raise UserError(f"{self.root} is not a data set: there is no {description}")
        try:
            values = yaml.safe_load(description.read_text())
            self.name = str(values["name"])
            self.labels: LabelSet = label_set(values["labels"], self.name)
            self.depth_scale = float(values["depth_scale"])
            self.void = int(values.get("void", VOID))
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{description} is wrong ({type(error).__name__}: {' '.join(str(error).split())}); "
                "it needs name, labels, depth_scale"
            ) from error
        if not (np.isfinite(self.depth_scale) and self.depth_scale > 0):
            raise UserError(
                f"{description}: depth_scale is {self.depth_scale}; it is metres per unit, above 0"
            )

        if not 0 <= self.void <= 255:
            raise UserError(f"{description}: void is {self.void}; it is a value of 8-bit labels, 0 to 255")

    def names(self, split: str) -> list[str]:
        """The frame names of a split. Raises UserError where it is missing or empty."""
        path = self.root / f"{split}.txt"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in self.root.glob("*.txt"))) or "none"
            raise UserError(f"split {split!r} is missing: no {path} (splits there: {known})")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is no UTF-8 text: it must list one frame name a line") from error
        names = [line.strip() for line in lines if line.strip()]
        if not names:
            raise UserError(f"split {split!r} is empty: {path} lists no frames")
        return names

    def read(self, name: str, with_label: bool = True) -> Sample:
        """One frame. Raises UserError for a file that is missing, does not decode or has another size."""
        parts = self.parts(name, (*MODALITIES, "label") if with_label else MODALITIES)
        return Sample(name, parts["rgb"], parts["depth"], parts.get("label"))

    def parts(self, name: str, wanted: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Those images of a frame that are ``wanted`` (rgb, depth, label), as a Sample has them.

        No other file needs to be there, so that data without one modality serve the others. Raises
        UserError as ``read`` does, and ConfigError for a modality that a folder has no images of.
        """
        check_modalities(part for part in wanted if part != "label")
        read: dict[str, Callable[[str], npt.NDArray[Any]]]
        read = {"rgb": self._read_rgb, "depth": self._read_depth, "label": self.read_label}
        found = {part: read[part](name) for part in wanted}
        for part in wanted[1:]:
            (height, width), (first_height, first_width) = found[part].shape[:2], found[wanted[0]].shape[:2]
            if (height, width) != (first_height, first_width):
                raise UserError(
                    f"{self._path(part, name)} is {width}x{height}, "
                    f"but {self._path(wanted[0], name)} is {first_width}x{first_height}"
                )
        return found

    def _path(self, part: str, name: str) -> Path:
        jpg = self.root / part / f"{name}.jpg"
        return jpg if part == "rgb" and jpg.exists() else jpg.with_suffix(".png")

    def _read_rgb(self, name: str) -> npt.NDArray[np.uint8]:
        path = self._path("rgb", name)
        if not path.is_file():
            raise UserError(
                f"{path.with_suffix('.jpg')} is missing (and {path.name} too), but a split lists {name!r}"
            )
        return np.ascontiguousarray(_read(path, cv2.IMREAD_COLOR)[..., ::-1])

    def _read_depth(self, name: str) -> npt.NDArray[np.float32]:
        path = self._path("depth", name)
        depth = _read(path, cv2.IMREAD_UNCHANGED)
        if depth.ndim != 2:
            raise UserError(f"{path} has {depth.shape[2]} channels; depth has one")
        return depth.astype(np.float32) * np.float32(self.depth_scale)

    def read_label(self, name: str) -> npt.NDArray[np.uint8]:
        """H x W uint8, void 255. Raises UserError as ``read`` does."""
        path = self._path("label", name)
        label = _read(path, cv2.IMREAD_UNCHANGED)
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


def check_modalities(modalities: Iterable[str]) -> None:
    """Raises ConfigError for a modality that a folder has no images of."""
    unknown = sorted(set(modalities) - set(MODALITIES))
    if unknown:
        raise ConfigError(f"modalities: a folder has rgb and depth alone, not {', '.join(unknown)}")


def _read(path: Path, flags: int) -> npt.NDArray[Any]:
    if not path.is_file():
        raise UserError(f"{path} is missing")
    image = cv2.imread(str(path), flags)
    if image is None:
        raise UserError(f"{path} does not decode as an image: replace it or take it out of the split")
    return image
