"""What an input is: how it is decoded, which of its pixels were measured, how it is normalised.

A modality is a value. There are three kinds, each a class: colour, range (metres along the ray's axis) and
scalar (one measurement a pixel in some unit: temperature, infrared intensity). Folder format, training,
scoring, the engine and the node's topics all follow from the list of modalities that a checkpoint names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.encodings import COLOUR, RANGE, SCALAR, Layout
from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.errors import ConfigError, ImageError

Size = tuple[int, int]  # height, width
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True)
class Stats:
    """Normalisation, in the modality's physical unit: (x - mean) / std.

    mean, std: one value, or one each for R, G and B. maximum: values beyond it count as it. invalid: what a
    pixel that was not measured becomes, after normalisation.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    maximum: float = math.inf
    invalid: float = 0.0


class ImageLayout(Protocol):
    """What decoding needs to know of an image besides its bytes (asymfusion_ros.engine.RawImage)."""

    @property
    def height(self) -> int:
        """Rows."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def encoding(self) -> str:
        """A name of data/encodings.py."""

    @property
    def step(self) -> int:
        """Bytes from a row to the next."""

    @property
    def bigendian(self) -> bool:
        """Whether values of several bytes have the highest first."""


class Modality(Protocol):
    """A kind of input under a name.

    topic: the node's relative topic for it. encodings: those that ``decode`` reads. unit: of integers that a
    camera sends or a folder holds, where the encoding does not say. stats: the default normalisation.
    fill: the value of pixels beyond the image, in the physical unit. smooth: whether a resized pixel may be
    a mean of its neighbours. vector: whether red, green and blue are a vector's x, y and z, of which x
    changes its sign where the image is mirrored.
    """

    kind: ClassVar[str]
    encodings: ClassVar[Mapping[str, Layout]]
    fill: ClassVar[float]
    smooth: ClassVar[bool]

    @property
    def name(self) -> str:
        """What a checkpoint calls it."""

    @property
    def topic(self) -> str:
        """The node's relative topic."""

    @property
    def unit(self) -> float:
        """Physical unit of a step of integers."""

    @property
    def stats(self) -> Stats:
        """The default normalisation."""

    @property
    def vector(self) -> bool:
        """Whether red, green and blue are x, y and z."""

    def decode(self, buffer: Tensor, image: ImageLayout) -> Tensor:
        """The image's bytes, flat uint8 -> 1 x C x H x W in the physical unit. Raises ImageError for an
        encoding of another kind."""

    def from_file(self, stored: npt.NDArray[Any], unit: float) -> npt.NDArray[Any]:
        """An image as OpenCV read it from a file -> H x W x 3 uint8 RGB, or H x W float32 in the physical
        unit, of which a stored step is ``unit``. Raises ImageError for another number of channels."""

    def valid(self, x: Tensor) -> Tensor:
        """Where a pixel was measured: bool, of x's shape (of one channel for colour)."""

    def normalise(self, x: Tensor, size: Size, stats: Stats) -> Tensor:
        """N x C x H x W in the physical unit -> N x 3 x size, float32, normalised."""


def _layout(modality: Modality, image: ImageLayout) -> Layout:
    try:
        return modality.encodings[image.encoding]
    except KeyError:
        raise ImageError(
            f"encoding {image.encoding!r} is not that of a {modality.kind} image ({modality.name}): use one "
            f"of {', '.join(modality.encodings)}"
        ) from None


def _values(buffer: Tensor, image: ImageLayout, layout: Layout) -> Tensor:
    """Flat bytes of a single channel -> H x W in the stored type."""
    size = layout.value_bytes
    raw = buffer.as_strided((image.height, image.width, size), (image.step, size, 1))
    if image.bigendian:
        raw = raw.flip(2)
    # No copy where the rows are packed. Flat first: view() would mind the step even of a single row.
    dtype = {"uint8": torch.uint8, "uint16": torch.uint16, "float32": torch.float32}[layout.dtype]
    return raw.reshape(-1).view(dtype).view(image.height, image.width)


def _single_channel(stored: npt.NDArray[Any], name: str) -> None:
    if stored.ndim != 2:
        raise ImageError(f"has {stored.shape[2]} channels; {name} has one")


def _standardised(x: Tensor, stats: Stats) -> Tensor:
    mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (stats.mean, stats.std))
    return (x - mean) / std


def turned(image: Tensor, modality: Modality) -> Tensor:
    """N x C x H x W in the physical unit -> the values that the mirrored scene has, at the places of the
    image's own: of a vector's image x has the other sign, of others nothing changes."""
    if not modality.vector:
        return image
    return torch.cat([255 - image[:, :1], image[:, 1:]], 1)


# Of values from 0 to 255: onto -1 to 1; and of edges, most of which are near 0.
UNIT, SPARSE = Stats((127.5,), (127.5,)), Stats((20.0,), (40.0,))


@dataclass(frozen=True)
class Colour:
    """Red, green and blue, 0 to 255; every pixel counts as measured."""

    kind: ClassVar[str] = "colour"
    encodings: ClassVar[Mapping[str, Layout]] = COLOUR
    fill: ClassVar[float] = 127.0
    smooth: ClassVar[bool] = True
    name: str
    topic: str
    unit: float = 1.0
    stats: Stats = Stats(IMAGENET_MEAN, IMAGENET_STD)
    vector: bool = False

    def decode(self, buffer: Tensor, image: ImageLayout) -> Tensor:
        """Flat bytes -> 1 x 3 x H x W uint8, RGB."""
        layout = _layout(self, image)
        channels = layout.channels
        shape = (image.height, image.width, channels)
        pixels = buffer.as_strided(shape, (image.step, channels, 1)).permute(2, 0, 1)[None]
        if channels == 1:
            return pixels.expand(-1, 3, -1, -1)
        return pixels[:, :3] if layout.order == (0, 1, 2) else pixels[:, list(layout.order)]

    def from_file(self, stored: npt.NDArray[Any], unit: float) -> npt.NDArray[Any]:
        """H x W x 3 uint8 in OpenCV's order, B, G, R -> R, G, B."""
        return np.ascontiguousarray(stored[..., ::-1])

    def valid(self, x: Tensor) -> Tensor:
        """All of it."""
        return torch.ones_like(x[:, :1], dtype=torch.bool)

    def normalise(self, x: Tensor, size: Size, stats: Stats) -> Tensor:
        """Resized bilinearly, with antialiasing where it shrinks."""
        x = x.float()
        if x.shape[-2:] != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True)
        return _standardised(x, stats)


@dataclass(frozen=True)
class Range:
    """Metres; zero, negative, NaN and infinite mean that nothing was measured (REP 118)."""

    kind: ClassVar[str] = "range"
    encodings: ClassVar[Mapping[str, Layout]] = RANGE
    fill: ClassVar[float] = 0.0
    smooth: ClassVar[bool] = False
    vector: ClassVar[bool] = False
    name: str
    topic: str
    unit: float = 0.001
    stats: Stats = Stats((2.7,), (1.4,), 10.0)

    def decode(self, buffer: Tensor, image: ImageLayout) -> Tensor:
        """Flat bytes -> 1 x 1 x H x W float32 metres; 0, NaN and Inf (not measured) stay what they are."""
        layout = _layout(self, image)
        values = _values(buffer, image, layout)
        metres = (
            values if layout.dtype == "float32" else values.to(torch.float32) * (layout.unit or self.unit)
        )
        return metres[None, None]

    def from_file(self, stored: npt.NDArray[Any], unit: float) -> npt.NDArray[Any]:
        """H x W of any type -> float32 metres."""
        _single_channel(stored, self.name)
        return stored.astype(np.float32) * np.float32(unit)

    def valid(self, x: Tensor) -> Tensor:
        """Finite and above zero."""
        return torch.isfinite(x) & (x > 0)

    def normalise(self, x: Tensor, size: Size, stats: Stats) -> Tensor:
        """Resized by nearest neighbour: a mean across an object's edge would be a surface that is not there.
        Repeated into the three channels that the shared first convolution takes."""
        if x.shape[-2:] != size:
            x = F.interpolate(x, size, mode="nearest-exact")
        x = x.float()
        made = _standardised(x.clamp(max=stats.maximum), stats)
        return torch.where(self.valid(x), made, stats.invalid).expand(-1, 3, -1, -1)


@dataclass(frozen=True)
class Scalar:
    """One measurement a pixel in some unit; NaN and infinite mean that nothing was measured."""

    kind: ClassVar[str] = "scalar"
    encodings: ClassVar[Mapping[str, Layout]] = SCALAR
    fill: ClassVar[float] = math.nan
    smooth: ClassVar[bool] = True
    vector: ClassVar[bool] = False
    name: str
    topic: str
    unit: float = 1.0
    stats: Stats = Stats((127.0,), (64.0,))

    def decode(self, buffer: Tensor, image: ImageLayout) -> Tensor:
        """Flat bytes -> 1 x 1 x H x W float32 in the physical unit: integers are counts of ``unit``."""
        layout = _layout(self, image)
        values = _values(buffer, image, layout).to(torch.float32)
        unit = layout.unit or self.unit
        return (values if unit == 1 else values * unit)[None, None]

    def from_file(self, stored: npt.NDArray[Any], unit: float) -> npt.NDArray[Any]:
        """H x W of any type -> float32 in the physical unit."""
        _single_channel(stored, self.name)
        return stored.astype(np.float32) * np.float32(unit)

    def valid(self, x: Tensor) -> Tensor:
        """Finite."""
        return torch.isfinite(x)

    def normalise(self, x: Tensor, size: Size, stats: Stats) -> Tensor:
        """Resized bilinearly over what was measured; a pixel more than half of whose neighbourhood was not is
        itself not. Repeated into three channels."""
        x = x.float()
        valid = self.valid(x)
        if x.shape[-2:] != size:
            share = F.interpolate(valid.float(), size, mode="bilinear", antialias=True)
            total = F.interpolate(torch.where(valid, x, 0.0), size, mode="bilinear", antialias=True)
            valid, x = share >= 0.5, total / share.clamp(min=0.5)
        made = _standardised(x.clamp(max=stats.maximum), stats)
        return torch.where(valid, made, stats.invalid).expand(-1, 3, -1, -1)


Kind = type[Colour] | type[Range] | type[Scalar]
KINDS: dict[str, Kind] = {cls.kind: cls for cls in (Colour, Range, Scalar)}

# The modalities that need no description. Another of these kinds is one line; another kind is one class.
KNOWN: dict[str, Modality] = {
    modality.name: modality
    for modality in (
        Colour("rgb", image_topic("rgb")),
        Range("depth", image_topic("depth")),
        Scalar("thermal", image_topic("thermal"), unit=0.01, stats=Stats((295.0,), (10.0,))),  # kelvin
        Scalar("infrared", image_topic("infrared")),
        Colour("normal", image_topic("normal"), stats=UNIT, vector=True),  # -1 to 1 as 0 to 255
        Scalar("shade", image_topic("shade"), stats=UNIT),
        Scalar("edge", image_topic("edge"), stats=SPARSE),
        Scalar("texture", image_topic("texture"), stats=SPARSE),
    )
}


def modality(name: str, kind: str | None = None) -> Modality:
    """The modality of a name; ``kind`` (colour, range or scalar) describes one that is not in KNOWN.

    Raises ConfigError for a name without a kind that is not in KNOWN, and for an unknown kind.
    """
    if kind is None:
        if name not in KNOWN:
            raise ConfigError(
                f"modality {name!r} is unknown: use one of {', '.join(KNOWN)}, or say its kind "
                f"({', '.join(KINDS)}) under images"
            )
        return KNOWN[name]
    if kind not in KINDS:
        raise ConfigError(f"modality {name!r} has the unknown kind {kind!r}: use one of {', '.join(KINDS)}")
    known = KNOWN.get(name)
    return known if known is not None and known.kind == kind else KINDS[kind](name, image_topic(name))
