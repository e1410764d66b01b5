"""Frames of a folder through a network: read, predicted, counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.colouring import png
from asymfusion_ros.data.folder import Folder, Frame
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_training.data.batch import collate
from asymfusion_training.evaluation.counts import FrameCounts, count_frame
from asymfusion_training.evaluation.missing_depth import with_missing
from asymfusion_training.evaluation.predict import predict
from asymfusion_training.evaluation.scoring_settings import ScoringSettings

COLOURED = "colour"  # the folder of the coloured masks, inside that of the masks


@dataclass(frozen=True)
class Scorer:
    """``backend`` gets only these ``modalities``, which are in the network's order.

    masks: a folder for the ensemble's labels, or None. Raises UserError for a frame that cannot be read,
    and for a mask that cannot be written.
    """

    backend: Backend
    spec: InputSpec
    folder: Folder
    modalities: tuple[str, ...]
    settings: ScoringSettings = field(default_factory=ScoringSettings)
    masks: Path | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is scored: each modality, and the ensemble."""
        return (*self.modalities, "ensemble")

    def frames(self, names: Sequence[str]) -> Iterator[dict[str, FrameCounts]]:
        """The counts of each frame, in order; the next one is read while the network runs."""
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(self.read, names[0]) if names else None
            for number in range(len(names)):
                assert following is not None
                frame = following.result()
                if number + 1 < len(names):
                    following = pool.submit(self.read, names[number + 1])
                yield self.score(frame)

    def read(self, name: str) -> Frame:
        """A frame with its label, its ranges with the share of holes that the settings ask for."""
        frame = self.folder.read(name, self.modalities)
        share, seed = self.settings.depth_holes, self.settings.seed
        if not share:
            return frame
        images = {
            modality: with_missing(image, share, seed, name)
            if self.spec.modality(modality).kind == "range"
            else image
            for modality, image in frame.images.items()
        }
        return replace(frame, images=images)

    def predictions(self, frame: Frame) -> dict[str, npt.NDArray[np.uint8]]:
        """The labels, H x W, that each output gives a frame of ``read``."""
        images = collate([frame]).to(self.backend.device).images
        found = predict(self.backend, self.spec, images, self.settings.scales, self.settings.flip)
        return {output: labels.cpu().numpy() for output, labels in found.items()}

    def score(self, frame: Frame) -> dict[str, FrameCounts]:
        """The counts of each output on a frame of ``read``."""
        assert frame.label is not None
        predictions = self.predictions(frame)
        if self.masks is not None:
            save_mask(self.masks, frame.name, predictions["ensemble"], self.folder.labels)
        classes, ratio = len(self.folder.labels), self.settings.boundary_ratio
        return {
            output: count_frame(frame.label, prediction, classes, ratio)
            for output, prediction in predictions.items()
        }


def save_mask(folder: Path, name: str, mask: npt.NDArray[np.uint8], labels: LabelSet) -> None:
    """``mask`` (H x W class indices) as folder/NAME.png, and coloured as folder/colour/NAME.png.

    Raises UserError where they cannot be written.
    """
    for path, image in (
        (folder / f"{name}.png", mask),
        (folder / COLOURED / f"{name}.png", labels.palette[mask]),
    ):
        make_folder(path.parent)
        write_whole(path, png(image))
