"""From camera pixels to the network's input: one definition for training, evaluation and the robot.

All of it is torch, so that it runs wherever the frame is. A checkpoint carries its InputSpec.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from torch import Tensor

from asymfusion_ros.data.modality import IMAGENET_MEAN, IMAGENET_STD, Modality, Stats, modality
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.settings import check_limits, checked, setting

MOST_PIXELS = 2048 * 2048  # of the network's input: twice Cityscapes' 1024 x 2048, in about 1 GB of features
LONGEST_SIDE = 4096
MOST_SCALES = 8  # each is a forward pass, and a second one mirrored
GRANULE = 8  # network sizes are multiples of this: odd ones waste time in padding and are no better


@dataclass(frozen=True)
class ImageDescription:
    """What ``images`` of an InputSpec says of one modality; what it leaves out is the modality's default."""

    kind: str | None = setting(None, "colour, range or scalar; needed where the name is not a known one")
    unit: float | None = setting(None, "physical unit of a step of integer images", above=0)
    mean: tuple[float, ...] | None = setting(None, "one value, or one each for R, G and B, in that unit")
    std: tuple[float, ...] | None = setting(None, "likewise")
    maximum: float | None = setting(None, "values beyond it count as it")
    invalid: float | None = setting(None, "what a pixel that was not measured becomes, after normalisation")

    def __post_init__(self) -> None:
        check_limits(self, "input: images: ")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and len(values) not in (1, 3):
                raise ConfigError(f"input: images: {name} has {len(values)} values; it needs one, or three")
        if self.std is not None and not min(self.std) > 0:
            raise ConfigError(f"input: images: std is {list(self.std)}; all of it must be positive")

    def modality(self, name: str) -> Modality:
        """The modality called ``name``. Raises ConfigError for an unknown name without a kind."""
        found = modality(name, self.kind)
        return found if self.unit is None else replace(found, unit=self.unit)  # type: ignore[type-var]

    def stats(self, name: str) -> Stats:
        """Its normalisation."""
        given = {key: getattr(self, key) for key in ("mean", "std", "maximum", "invalid")}
        known = {key: value for key, value in given.items() if value is not None}
        return replace(self.modality(name).stats, **known)


def _scales_fault(scales: tuple[float, ...]) -> str:
    if len(scales) > MOST_SCALES:
        return f"{len(scales)} sizes are too many: use at most {MOST_SCALES}"
    if scales and max(scales) == 1 and min(scales) > 0 and len(set(scales)) == len(scales):
        return ""
    return (
        f"{list(scales)} must be different factors above 0, the largest of them 1: for a larger view, set "
        "height and width to its size"
    )


@dataclass(frozen=True)
class InputSpec:
    """How a frame's images become the network's inputs.

    A frame of height x width's aspect ratio is resized to that. One of another aspect ratio keeps its own, at
    about the same number of pixels, so that nothing is stretched and speed stays. All modalities have three
    channels: a single one is repeated, for the first convolution is shared. Raises ConfigError.
    """

    height: int = setting(240, "the network's input size", minimum=GRANULE, maximum=LONGEST_SIDE)
    width: int = setting(320, "the network's input size", minimum=GRANULE, maximum=LONGEST_SIDE)
    rgb_mean: tuple[float, float, float] = setting(IMAGENET_MEAN, "of R, G and B, 0 to 255")
    rgb_std: tuple[float, float, float] = setting(IMAGENET_STD, "of R, G and B, 0 to 255")
    depth_mean: float = setting(2.7, "metres")
    depth_std: float = setting(1.4, "metres", above=0)
    depth_max: float = setting(10.0, "metres; depth beyond it counts as it", above=0)
    depth_invalid: float = setting(0.0, "what a pixel without depth becomes, after normalisation")
    images: dict[str, dict[str, Any]] = setting({}, "further modalities, by name: kind, unit, mean, std, ...")
    view_scales: tuple[float, ...] = setting(
        (1.0,),
        "sizes at which a frame is predicted, as factors of height and width; the predictions are averaged",
        fault=_scales_fault,
    )
    view_flip: bool = setting(False, "predict the mirror image of each size too")

    def __post_init__(self) -> None:
        for name in ("rgb_mean", "rgb_std", "view_scales"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        check_limits(self, "input: ")
        if self.height % GRANULE or self.width % GRANULE:
            raise ConfigError(
                f"input: height {self.height} and width {self.width} must be multiples of {GRANULE}"
            )
        if self.height * self.width > MOST_PIXELS:
            raise ConfigError(
                f"input: height {self.height} and width {self.width} are {self.height * self.width} pixels; "
                f"at most {MOST_PIXELS} fit into a robot's memory"
            )
        if not min(self.rgb_std) > 0:
            raise ConfigError(f"input: rgb_std is {self.rgb_std}; all of it must be positive")
        for name in self.images:
            if name in ("rgb", "depth"):
                raise ConfigError(f"input: images: {name} has settings of its own: {name}_mean and so on")
        described = {
            name: ImageDescription(**checked(ImageDescription, values, f"input: images: {name}"))
            for name, values in self.images.items()
        }
        found = {name: (image.modality(name), image.stats(name)) for name, image in described.items()}
        object.__setattr__(self, "_described", found)  # every frame asks: worked out once

    @property
    def several_views(self) -> bool:
        """Whether a frame is predicted more than once."""
        return self.view_scales != (1.0,) or self.view_flip

    def modality(self, name: str) -> Modality:
        """The modality of a name. Raises ConfigError for one that neither is known nor described."""
        described: dict[str, tuple[Modality, Stats]] = self._described  # type: ignore[attr-defined]
        return described[name][0] if name in described else modality(name)

    def stats(self, name: str) -> Stats:
        """The normalisation of a modality. Raises ConfigError as ``modality`` does."""
        if name == "rgb":
            return Stats(self.rgb_mean, self.rgb_std)
        if name == "depth":
            return Stats((self.depth_mean,), (self.depth_std,), self.depth_max, self.depth_invalid)
        described: dict[str, tuple[Modality, Stats]] = self._described  # type: ignore[attr-defined]
        return described[name][1] if name in described else modality(name).stats

    def network_input(self, name: str, x: Tensor, size: tuple[int, int]) -> Tensor:
        """A modality's N x C x H x W in its physical unit -> N x 3 x size, float32, normalised."""
        return self.modality(name).normalise(x, size, self.stats(name))

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that a frame of this size is resized to."""
        if height * self.width == width * self.height:
            return self.height, self.width
        scale = math.sqrt(self.height * self.width / (height * width))
        return tuple(max(GRANULE, round(side * scale / GRANULE) * GRANULE) for side in (height, width))  # type: ignore[return-value]

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON can hold them; ``images`` and the views only where there are any."""
        values = {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }
        if not self.images:
            del values["images"]
        if self.view_scales == (1.0,):
            del values["view_scales"]
        if not self.view_flip:
            del values["view_flip"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputSpec:
        """Raises ConfigError for a setting that is unknown, of another type, or impossible."""
        return cls(**checked(cls, values, "input"))
