"""Label sets: what class indices mean and how they are coloured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.errors import ConfigError

VOID = 255  # unlabelled, in masks and in label files alike
UNLABELED = "unlabeled"  # what ~/label_info calls it

Colour = tuple[int, int, int]


def customary_colours(count: int) -> tuple[Colour, ...]:
    """The bit-interleaved colours that segmentation data sets share since PASCAL VOC, black left out."""
    colours = []
    for index in range(1, count + 1):
        rgb = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                rgb[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
        colours.append((rgb[0], rgb[1], rgb[2]))
    return tuple(colours)


@dataclass(frozen=True)
class LabelSet:
    """Class names in index order, and a colour for each. Those of NO_LABELS alone are none."""

    name: str
    names: tuple[str, ...]
    colours: tuple[Colour, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        colours = self.colours or customary_colours(len(self.names))
        object.__setattr__(self, "colours", tuple((int(r), int(g), int(b)) for r, g, b in colours))
        if self.names and not 2 <= len(self.names) <= VOID:
            raise ConfigError(f"labels: {len(self.names)} classes; there must be 2 to {VOID}")
        if len(set(self.names)) < len(self.names):
            raise ConfigError(f"labels: the class names of {self.name!r} are not all different")
        if len(self.colours) != len(self.names):
            raise ConfigError(f"labels: {len(self.colours)} colours for {len(self.names)} classes")
        wrong = next((c for c in self.colours if not (0 <= min(c) and max(c) <= 255)), None)
        if wrong is not None:
            raise ConfigError(f"labels: {wrong} is not a colour: red, green and blue are 0 to 255")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def palette(self) -> npt.NDArray[np.uint8]:
        """256 x 3 uint8 RGB, a row for every value of a mask; black where there is no class."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self.colours)] = self.colours
        return palette

    def to_dict(self) -> dict[str, Any]:
        """The set as JSON can hold it."""
        return {"name": self.name, "names": list(self.names), "colours": [list(c) for c in self.colours]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelSet:
        """What ``to_dict`` gave. Raises KeyError or ConfigError."""
        return cls(values["name"], tuple(values["names"]), tuple(tuple(c) for c in values.get("colours", ())))


def label_set(labels: str | Sequence[str], name: str = "custom") -> LabelSet:
    """A built-in label set by its name, or one made of a list of class names called ``name``."""
    if isinstance(labels, list | tuple):
        if not labels:
            raise ConfigError(f"labels: 0 classes; there must be 2 to {VOID}")
        return LabelSet(name, tuple(labels))
    if not isinstance(labels, str):
        raise ConfigError(f"labels: {labels!r} is neither a built-in set's name nor a list of class names")
    if labels not in BUILT_IN:
        raise ConfigError(f"labels: {labels!r} is not built in ({', '.join(BUILT_IN)}); give a list of names")
    return BUILT_IN[labels]


# fmt: off
# The data set's own spelling is kept ("refridgerator").
NYU40 = LabelSet("nyu40", (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes",
    "ceiling", "books", "refridgerator", "television", "paper", "towel", "shower curtain", "box",
    "whiteboard", "person", "night stand", "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure",
    "otherfurniture", "otherprop",
))
CITYSCAPES19 = LabelSet("cityscapes19", (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
), (
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
    (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
    (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
))
# fmt: on
NO_LABELS = LabelSet("none", ())  # of what makes images
BUILT_IN = {labels.name: labels for labels in (NYU40, CITYSCAPES19)}
