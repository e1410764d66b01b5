"""Frames of a folder through a network: read, predicted, counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.colouring import png
from asymfusion_ros.data.folder import Folder, Frame
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_training.data.batch import collate
from asymfusion_training.evaluation.calibration import confidence_counts
from asymfusion_training.evaluation.counts import FrameCounts, count_frame
from asymfusion_training.evaluation.missing_depth import with_missing
from asymfusion_training.evaluation.predict import Prediction, predict
from asymfusion_training.evaluation.scoring_settings import ScoringSettings

COLOURED = "colour"  # the folder of the coloured masks, inside that of the masks


@dataclass(frozen=True)
class Scorer:
    """``backend`` gets only these ``modalities``, which are in the network's order.

    masks: a folder for the ensemble's labels, or None. temperature: of the ensemble's confidence, None where
    that is not counted, which it never is with ``settings.scales`` or ``flip``: the engine takes none. Raises
    UserError for a frame that cannot be read, and for a mask that cannot be written.
    """

    backend: Backend
    spec: InputSpec
    folder: Folder
    modalities: tuple[str, ...]
    settings: ScoringSettings = field(default_factory=ScoringSettings)
    masks: Path | None = None
    temperature: float | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is scored: each modality, and the ensemble."""
        return (*self.modalities, "ensemble")

    def frames(self, names: Sequence[str]) -> Iterator[dict[str, FrameCounts]]:
        """The counts of each frame, in order."""
        return (self.score(frame) for frame in self.read_ahead(names))

    def read_ahead(self, names: Sequence[str]) -> Iterator[Frame]:
        """The frames, in order; the next one is read while something is done with one."""
        with ThreadPoolExecutor(1) as pool:
            following = pool.submit(self.read, names[0]) if names else None
            for number in range(len(names)):
                assert following is not None
                frame = following.result()
                if number + 1 < len(names):
                    following = pool.submit(self.read, names[number + 1])
                yield frame

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

    def images(self, frame: Frame) -> dict[str, Tensor]:
        """Those of a frame of ``read``, 1 x C x H x W in their physical unit, on the backend's device."""
        return dict(collate([frame]).to(self.backend.device).images)

    def predictions(self, frame: Frame) -> dict[str, npt.NDArray[np.uint8]]:
        """The labels, H x W, that each output gives a frame of ``read``."""
        return {output: labels.cpu().numpy() for output, labels in self._predict(frame).labels.items()}

    def score(self, frame: Frame) -> dict[str, FrameCounts]:
        """The counts of each output on a frame of ``read``."""
        assert frame.label is not None
        found = self._predict(frame)
        predictions = {output: labels.cpu().numpy() for output, labels in found.labels.items()}
        if self.masks is not None:
            save_mask(self.masks, frame.name, predictions["ensemble"], self.folder.labels)
        confident = {}
        if found.confidence is not None:
            confidence = found.confidence.cpu().numpy()
            confident["ensemble"] = confidence_counts(frame.label, predictions["ensemble"], confidence)
        classes, ratio = len(self.folder.labels), self.settings.boundary_ratio
        return {
            output: count_frame(frame.label, prediction, classes, ratio, confident.get(output))
            for output, prediction in predictions.items()
        }

    def _predict(self, frame: Frame) -> Prediction:
        settings, images = self.settings, self.images(frame)
        temperature = None if settings.several_views else self.temperature
        return predict(self.backend, self.spec, images, settings.scales, settings.flip, temperature)


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
