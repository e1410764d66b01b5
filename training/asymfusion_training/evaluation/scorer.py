"""A network and a folder: frames in by name, counts out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.network import SegmentationNetwork
from asymfusion_training.evaluation.holes import with_missing
from asymfusion_training.evaluation.masks import save_mask
from asymfusion_training.evaluation.predict import predict
from asymfusion_training.evaluation.settings import Settings
from asymfusion_training.evaluation.tally import FrameCounts, count_frame

Scores = dict[str, FrameCounts]  # by branch, and of the ensemble


@dataclass(frozen=True)
class Scorer:
    """``network`` is in evaluation mode and gets those ``modalities`` alone.

    masks: a folder for the ensemble's labels, or None. Raises UserError for a frame that cannot be read,
    and for a mask that cannot be written.
    """

    network: SegmentationNetwork
    spec: InputSpec
    folder: Folder
    modalities: tuple[str, ...]
    settings: Settings
    masks: Path | None = None

    def frames(self, names: Sequence[str]) -> Iterator[Scores]:
        """The counts of each frame, in order; the next one is read while the network runs."""
        for name, parts in _read_ahead(self, names):
            yield self._score(name, parts)

    def frame(self, name: str) -> Scores:
        return self._score(name, self.read(name))

    def read(self, name: str) -> dict[str, npt.NDArray[Any]]:
        frame = self.folder.read(name, self.modalities)
        assert frame.label is not None
        parts: dict[str, npt.NDArray[Any]] = {**frame.images, "label": frame.label}
        if self.settings.depth_holes and "depth" in parts:
            parts["depth"] = with_missing(parts["depth"], self.settings.depth_holes, self.settings.seed, name)
        return parts

    @torch.inference_mode()
    def predictions(self, parts: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[np.uint8]]:
        """The labels, H x W, that each branch and the ensemble give what ``read`` has read."""
        device = next(self.network.parameters()).device
        images = {}
        for modality in self.modalities:
            image = torch.from_numpy(parts[modality]).to(device)
            images[modality] = (image.permute(2, 0, 1) if image.ndim == 3 else image[None])[None]
        found = predict(self.network, self.spec, images, self.settings.scales, self.settings.flip)
        return {branch: labels.cpu().numpy() for branch, labels in found.items()}

    def _score(self, name: str, parts: dict[str, npt.NDArray[Any]]) -> Scores:
        predictions = self.predictions(parts)
        if self.masks is not None:
            save_mask(self.masks, name, predictions["ensemble"], self.folder.labels)
        classes = self.network.config.classes
        return {
            branch: count_frame(parts["label"], prediction, classes, self.settings.boundary_ratio)
            for branch, prediction in predictions.items()
        }


def _read_ahead(scorer: Scorer, names: Iterable[str]) -> Iterator[tuple[str, dict[str, npt.NDArray[Any]]]]:
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for name in names:
            following = name, pool.submit(scorer.read, name)
            if waiting is not None:
                yield waiting[0], waiting[1].result()
            waiting = following
        if waiting is not None:
            yield waiting[0], waiting[1].result()
