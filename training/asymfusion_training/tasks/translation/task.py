"""Image translation as the training loop sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from asymfusion_ros.checkpoint import load_checkpoint, save_checkpoint
from asymfusion_ros.checkpoint.description import check_target, views_of
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import NO_LABELS
from asymfusion_ros.data.unit_image import unit_image
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.encoders.registry import ENCODERS
from asymfusion_training.data.batch import Batch
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.data.settings import DataSettings
from asymfusion_training.data.streamed_frames import StreamedFrames, frames_of
from asymfusion_training.evaluation.image_scores import IMAGE_SCORES
from asymfusion_training.evaluation.live_network import live
from asymfusion_training.evaluation.results_page import ResultsPage, results_picture
from asymfusion_training.evaluation.translation_scorer import TranslationScorer
from asymfusion_training.loop.optimiser import make_optimiser
from asymfusion_training.loop.settings import LoopSettings
from asymfusion_training.tasks.base import Goal, Objective, Scores
from asymfusion_training.tasks.modality_dropout import only_modality
from asymfusion_training.tasks.translation.objectives import Adversaries, DiscriminatorLoss, GeneratorLoss
from asymfusion_training.tasks.translation.settings import TranslationSettings

# What would change the images that are to be made, or asks for labels.
NOT_WITH_IMAGES = ("colours", "blur", "cutout", "copy_paste", "class_crops")
SHOWN = 20  # frames on the page of results


class TranslationTask:
    """A network that makes images of one modality from those of others; see tasks.base.Task."""

    goal = Goal("ensemble", "ssim", "SSIM")
    picture_file = "results.png"

    def __init__(
        self,
        settings: TranslationSettings,
        config: NetworkConfig,
        spec: InputSpec,
        augmentation: DataSettings,
        loop: LoopSettings,
        folder: Folder,
    ) -> None:
        """Raises ConfigError for modalities that the folder or the input spec lacks, for sizes that the
        network does not take, and for changes to the frames that make no sense here."""
        self.settings, self.config, self.spec, self.augmentation = settings, config, spec, augmentation
        self.loop, self.folder = loop, folder
        self.modalities = (*config.modalities, settings.target)
        if settings.target in config.modalities:
            raise ConfigError(f"recipe: target {settings.target} is one of network.modalities: take it out")
        folder.check_modalities(self.modalities)
        check_target(settings.target, spec)
        self._check_sizes()
        for name in NOT_WITH_IMAGES:
            if value := getattr(augmentation, name):
                raise ConfigError(
                    f"recipe: {name} is {value:g}; it would change the {settings.target} images that are to "
                    "be made: set it to 0"
                )
        views_of(config, spec)
        self.data: dict[str, Any] = {"name": folder.name, "target": settings.target}
        torch.manual_seed(loop.seed)
        self.network = Adversaries(build_network(config), settings)

    def _check_sizes(self) -> None:
        stride = ENCODERS[self.config.encoder].strides[-1]
        for name, size in (
            ("input", (self.spec.height, self.spec.width)),
            ("crop", self.augmentation.crop or (stride, stride)),
        ):
            if size[0] % stride or size[1] % stride:
                raise ConfigError(
                    f"recipe: {name} is {size[0]} x {size[1]}; {self.config.encoder} takes multiples "
                    f"of {stride}"
                )

    def start(self) -> str:
        """From N(0, 0.02), as built."""
        return ""

    def objectives(self, processes: int) -> list[Objective]:
        """The network's loss, then its discriminator's."""
        generator, judge = self.network.generator, self.network.discriminator
        loss = GeneratorLoss(self.network, self.settings, synced=processes > 1)
        if self.loop.ema and self.settings.domain_dropout:
            for norm in self.network.norms():
                norm.begin_alone()
        decoder = [*generator.decoder.parameters(), *generator.ensemble.parameters()]
        found = [Objective(loss, make_optimiser(generator.encoder.parameters(), decoder, self.loop))]
        if judge is not None:
            optimiser = make_optimiser([], judge.parameters(), self.loop)
            found.append(Objective(DiscriminatorLoss(judge, loss.made), optimiser))
        return found

    def frames(self) -> TrainingFrames | StreamedFrames:
        """Those to train on, of a folder or of shards, with the images of the network's modalities and of the
        target."""
        data = self.augmentation
        frames = frames_of(self.folder, data.train_split, self.modalities, self.spec, data, self.loop.seed)
        frames.augmentation = replace(frames.augmentation, recolours=False)
        return frames

    def inputs(self, batch: Batch, step: int) -> tuple[list[Tensor | None], Tensor]:
        """The network's inputs, of which domain dropout may leave one, and the images to make."""
        names, truth = self.config.modalities, batch.images[self.settings.target]
        size = (truth.shape[-2], truth.shape[-1])
        only = only_modality(len(names), self.settings.domain_dropout, self.loop.seed, step)
        given = [
            self.spec.network_input(name, batch.images[name], size) if only in (None, index) else None
            for index, name in enumerate(names)
        ]
        return given, unit_image(self.spec.modality(self.settings.target), truth, size)

    def scored_frames(self) -> list[str]:
        """Those of the split to score on."""
        return self.folder.names(self.augmentation.val_split)

    def evaluate(self, network: nn.Module, names: Sequence[str], progress: bool) -> dict[str, Tensor]:
        """Of each domain's images and the ensemble's: how many, and the sums of their IMAGE_SCORES."""
        outputs = (*self.config.modalities, "ensemble")
        total = {name: torch.zeros(1 + len(IMAGE_SCORES), dtype=torch.float64) for name in outputs}
        with self._scorer(network) as scorer:
            for found in scorer.translated(names, progress):
                for output, values in found.scores().items():
                    total[output] += torch.cat([torch.ones(1, dtype=torch.float64), values])
        return total

    def scores(self, counts: Mapping[str, Tensor]) -> Scores:
        """The means of IMAGE_SCORES."""
        return {
            output: dict(zip(IMAGE_SCORES, (count[1:] / count[0]).tolist()))
            for output, count in counts.items()
        }

    def picture(self, network: nn.Module, names: Sequence[str]) -> npt.NDArray[np.uint8]:
        """A row for each frame: its inputs, what each domain and all together become, the truth."""
        with self._scorer(network) as scorer:
            return results_picture(scorer, names)

    def save(self, path: Path, network: nn.Module, provenance: Mapping[str, Any]) -> None:
        """A checkpoint of the network, without its discriminator, in half precision."""
        save_checkpoint(
            path,
            cast(Adversaries, network).generator.state_dict(),
            self.config,
            NO_LABELS,
            self.spec,
            dict(provenance),
            torch.float16,
            target=self.settings.target,
        )

    def finish(self, best: Path, device: torch.device, progress: bool) -> str:
        """results.html beside it: some of the frames that were scored."""
        network = load_checkpoint(best).build().to(device)
        with live(network) as backend:
            scorer = TranslationScorer(
                backend, self.spec, self.folder, self.config.modalities, self.settings.target
            )
            page = ResultsPage(best.parent, f"{self.folder.name}: {self.settings.target}", scorer)
            for found in scorer.translated(self.scored_frames()[:SHOWN], progress):
                page.add(found)
        return f"results of best.safetensors on {self.augmentation.val_split}: {page.write()}"

    @contextmanager
    def _scorer(self, network: nn.Module) -> Iterator[TranslationScorer]:
        with live(cast(Adversaries, network).generator) as backend:
            yield TranslationScorer(
                backend, self.spec, self.folder, self.config.modalities, self.settings.target
            )
