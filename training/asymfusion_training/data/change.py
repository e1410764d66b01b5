"""The random change to a training frame, as numbers: drawn once, carried out by OpenCV or on the GPU.

A zoom leaves the values of ranges as they are: it stands for another lens, not for a camera that came
nearer, so that a depth in metres keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.labels import VOID
from asymfusion_ros.data.modality import Modality
from asymfusion_training.data.settings import DataSettings

Size = tuple[int, int]  # height, width
Label = npt.NDArray[np.uint8]
BLUR = (0.3, 2.0)  # standard deviation in pixels, smallest and largest
CUT_AREA, CUT_RATIO = (0.01, 0.15), (0.4, 2.5)  # share of the window; height / width


@dataclass(frozen=True)
class Rectangle:
    """A part of the window that is cut out of these ``modalities``."""

    top: int
    left: int
    height: int
    width: int
    modalities: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """What is done to one frame.

    scaled: its (height, width) after the zoom. shrinks: the zoom made it smaller. top, left: where the window
    begins in it, negative where it is smaller than the window. noisy, holed: its ranges get noise, holes.
    saturation, contrast, brightness, balance: factors of its colours, the last for R, G and B. blur: of its
    colours, a Gaussian's standard deviation in pixels, 0 for none. cut: rectangles. copied: before
    all this, objects of the frame are copied.
    """

    scaled: Size
    shrinks: bool
    top: int
    left: int
    mirrored: bool
    noisy: bool
    holed: bool
    saturation: float
    contrast: float
    brightness: float
    balance: npt.NDArray[np.float32]
    blur: float = 0.0
    cut: tuple[Rectangle, ...] = ()
    copied: bool = False


@dataclass(frozen=True)
class Augmentation:
    """What changes are drawn from, and what they are done to.

    modalities: those of the frames, in the network's order. units: physical unit of a stored step, of each.
    full_size: of the network's input, which a zoom of 1 fits the frame to. size: of the result, a window of
    the zoomed frame. recolours: False keeps colours to the last bit, where changes by no factor may round.
    """

    settings: DataSettings
    modalities: Mapping[str, Modality]
    units: Mapping[str, float]
    full_size: Size
    size: Size
    recolours: bool = True

    def draw(self, source_size: Size, rng: np.random.Generator, label: Label | None = None) -> Change:
        """The change to a frame of ``source_size``. label: the frame's, H x W uint8, for ``class_crops``."""
        settings = self.settings
        fit = max(self.full_size[0] / source_size[0], self.full_size[1] / source_size[1])
        if settings.scale_law == "log":
            zoom = fit * np.exp(rng.uniform(*np.log(settings.scale)))
        else:
            zoom = fit * rng.uniform(*settings.scale)
        zoom = max(zoom, settings.shortest / min(source_size))
        scaled = (round(source_size[0] * zoom), round(source_size[1] * zoom))
        top, left = (_start(have, want, rng) for have, want in zip(scaled, self.size))
        strength = settings.colours

        def factor(reach: float, count: int | None = None) -> Any:
            return rng.uniform(1 - reach * strength, 1 + reach * strength, count)

        change = Change(
            scaled,
            bool(zoom < 1),
            top,
            left,
            mirrored=rng.random() < 0.5,
            noisy=rng.random() < settings.depth_noise,
            holed=rng.random() < settings.depth_holes,
            saturation=factor(0.4),
            contrast=factor(0.3),
            brightness=factor(0.3),
            balance=factor(0.08, 3).astype(np.float32),
        )
        # Drawn last, and only where asked for: recipes without them keep their numbers.
        if settings.blur and rng.random() < settings.blur:
            change = replace(change, blur=float(rng.uniform(*BLUR)))
        if settings.cutout and rng.random() < settings.cutout:
            count = int(rng.integers(1, 4))
            change = replace(change, cut=tuple(self._rectangle(rng) for _ in range(count)))
        if settings.class_crops and rng.random() < settings.class_crops:
            assert label is not None, "class_crops need the label"
            change = self._around_a_class(change, label, rng)
        if settings.copy_paste and rng.random() < settings.copy_paste:
            change = replace(change, copied=True)
        return change

    def _around_a_class(self, change: Change, label: Label, rng: np.random.Generator) -> Change:
        """With a window, of those that there might have been, that has a pixel of a class of ``label``."""
        classes = np.unique(label)
        classes = classes[classes != VOID]
        if not len(classes):
            return change
        pixels = np.flatnonzero(label == rng.choice(classes))
        place = np.unravel_index(rng.choice(pixels), label.shape)
        starts = []
        for at, have, want, source in zip(place, change.scaled, self.size, label.shape):
            at = min(int((at + 0.5) * have / source), have - 1)
            low, high = sorted((0, have - want))
            starts.append(int(rng.integers(max(low, at - want + 1), min(high, at) + 1)))
        return replace(change, top=starts[0], left=starts[1])

    def _rectangle(self, rng: np.random.Generator) -> Rectangle:
        """Of a single modality, or of all, each as likely."""
        area = self.size[0] * self.size[1] * np.exp(rng.uniform(*np.log(CUT_AREA)))
        ratio = np.exp(rng.uniform(*np.log(CUT_RATIO)))
        height = min(max(round(float(np.sqrt(area * ratio))), 1), self.size[0])
        width = min(max(round(float(np.sqrt(area / ratio))), 1), self.size[1])
        top, left = rng.integers(self.size[0] - height + 1), rng.integers(self.size[1] - width + 1)
        names = tuple(self.modalities)
        which = int(rng.integers(len(names) + 1))
        return Rectangle(int(top), int(left), height, width, names[which : which + 1] or names)


def _start(have: int, want: int, rng: np.random.Generator) -> int:
    """Where a window of ``want`` pixels begins; negative where the image is smaller than the window."""
    low, high = sorted((0, have - want))
    return int(rng.integers(low, high + 1))
