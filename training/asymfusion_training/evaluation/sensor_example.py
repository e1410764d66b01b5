"""Disagreement on a scene that may be shown: the built-in recording's first frame, good and with faults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from asymfusion_ros import Segmenter
from asymfusion_ros.errors import UserError
from asymfusion_ros.recordings.motorcycle import WINDOW, load_pair
from asymfusion_training.evaluation.sensor_faults import Fault
from asymfusion_training.figures import save_figure

SHOWN = ("depth mirrored", "depth half blocked: nothing measured", "depth 10 times too far")


@dataclass(frozen=True)
class Example:
    """condition; colour: H x W x 3 RGB as the network got it; disagreement: the engine's, h x w uint8."""

    condition: Fault
    colour: npt.NDArray[Any]
    disagreement: npt.NDArray[np.uint8]


def examples(segmenter: Segmenter, conditions: Sequence[Fault]) -> list[Example]:
    """The frame with each condition. Another frame than it, which some faults take, is the upper right
    corner of the pair instead of the upper left. Raises UserError without scikit-image, which ships the pair.
    """
    try:
        rgb, depth = load_pair()
    except ModuleNotFoundError as error:
        raise UserError(f"the recording needs {error.name}: pip install 'asymfusion_ros[demo]'") from error
    width, height = WINDOW

    def window(left: int) -> dict[str, npt.NDArray[Any]]:
        part = (slice(0, height), slice(left, left + width))
        return {"rgb": rgb[part], "depth": depth[part].astype(np.float32) / 1000}

    images, others = window(0), window(rgb.shape[1] - width)
    found = []
    for condition in conditions:
        changed = condition(images, others)
        apart = segmenter.segment(changed, confidence=False, disagreement=True).numpy().disagreement
        assert apart is not None  # there are two images
        found.append(Example(condition, changed["rgb"], apart))
    return found


def save_examples(path: Path, found: Sequence[Example], level: int) -> None:
    """Writes a PNG: the colour image, and the disagreement of the first example and of those SHOWN, with the
    share beyond ``level``. Raises UserError where it cannot be written."""
    shown = [found[0], *(one for one in found if one.condition.name in SHOWN)]
    figure = Figure(figsize=(3 * (len(shown) + 1), 2.8), layout="constrained")
    first, *rest = figure.subplots(1, len(shown) + 1)
    first.imshow(shown[0].colour)
    first.set_title("colour", fontsize=8)
    for axes, one in zip(rest, shown):
        axes.imshow(one.disagreement, cmap="magma", vmin=0, vmax=255, extent=(0, WINDOW[0], WINDOW[1], 0))
        share = 100 * (one.disagreement > level).mean()
        axes.set_title(f"{one.condition.name}\n{share:.0f} % beyond the usual level", fontsize=8)
    for axes in (first, *rest):
        axes.axis("off")
    save_figure(path, figure)
