"""Frames of a folder through a network that makes images: read, translated, compared with the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from asymfusion_ros.data.folder import Folder, Frame
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.unit_image import as_uint8, unit_image
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_training.data.batch import collate
from asymfusion_training.evaluation.image_scores import image_scores

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Translated:
    """images: 3 x H x W uint8 of each available domain, and of ``ensemble``. truth: likewise."""

    frame: Frame
    images: dict[str, Tensor]
    truth: Tensor

    def scores(self) -> dict[str, Tensor]:
        """Of each output, its IMAGE_SCORES: float64."""
        made = image_scores(
            torch.stack(list(self.images.values())), self.truth.expand(len(self.images), -1, -1, -1)
        )
        return dict(zip(self.images, made))


@dataclass(frozen=True)
class TranslationScorer:
    """``backend`` gets only these ``modalities``, which are in the network's order, at the spec's size: a
    frame of another aspect ratio is stretched, as pix2pix does it.

    Raises UserError for a frame that cannot be read."""

    backend: Backend
    spec: InputSpec
    folder: Folder
    modalities: tuple[str, ...]
    target: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """What is scored: each domain's image, and the ensemble."""
        return (*self.modalities, ENSEMBLE)

    def translate(self, name: str) -> Translated:
        """One frame."""
        frame = self.folder.read(name, (*self.modalities, self.target), label=False)
        images = collate([frame]).to(self.backend.device).images
        size = (self.spec.height, self.spec.width)
        found = self.backend.outputs(
            {one: self.spec.network_input(one, images[one], size) for one in self.modalities}
        )
        made = [image for image in found.logits if image is not None]
        outputs = dict(
            zip(self.outputs, (as_uint8(one)[0].cpu() for one in (*made, found.ensemble)), strict=True)
        )
        truth = unit_image(self.spec.modality(self.target), images[self.target], size)
        return Translated(frame, outputs, as_uint8(truth)[0].cpu())

    def translated(self, names: Sequence[str], progress: bool = True) -> Iterator[Translated]:
        """The frames, in order."""
        bar = tqdm(names, "translate", unit="frame", disable=not progress, leave=False)
        return (self.translate(name) for name in bar)
