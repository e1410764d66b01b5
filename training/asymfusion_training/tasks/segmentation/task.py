"""Semantic segmentation as the training loop sees it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from zlib import crc32

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint, save_checkpoint
from asymfusion_ros.checkpoint.description import views_of
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_ros.network import NetworkConfig, SegmentationNetwork, build_network
from asymfusion_ros.packaged import is_packaged
from asymfusion_training.data.batch import Batch
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.data.settings import DataSettings
from asymfusion_training.evaluation.calibrate import calibrate, with_temperatures
from asymfusion_training.evaluation.evaluate import evaluate
from asymfusion_training.evaluation.live_network import live
from asymfusion_training.loop.optimiser import make_optimiser
from asymfusion_training.loop.settings import LoopSettings
from asymfusion_training.tasks.base import Goal, Objective, Scores
from asymfusion_training.tasks.modality_dropout import only_modality
from asymfusion_training.tasks.segmentation.class_weights import class_weights
from asymfusion_training.tasks.segmentation.cutmix import cut_and_mixed
from asymfusion_training.tasks.segmentation.model import TrainingModel
from asymfusion_training.tasks.segmentation.pictures import mask_picture
from asymfusion_training.tasks.segmentation.settings import SegmentationSettings
from asymfusion_training.tasks.segmentation.teachers import Teachers
from asymfusion_training.weights.pretrained import load_imagenet
from asymfusion_training.weights.warm_start import start_from


class SegmentationTask:
    """A network that labels the frames of a folder: learns on one split of it, is scored on another.

    See tasks.base.Task for what the loop calls.
    """

    goal = Goal("ensemble", "mean_iou", "mean IoU")
    picture_file = "masks.png"

    def __init__(
        self,
        settings: SegmentationSettings,
        config: NetworkConfig,
        spec: InputSpec,
        augmentation: DataSettings,
        loop: LoopSettings,
        folder: Folder,
        teachers: Teachers | None = None,
    ) -> None:
        """Raises ConfigError for modalities that the folder or the input spec lacks."""
        folder.check_modalities(config.modalities)
        self.settings, self.config, self.spec, self.augmentation = settings, config, spec, augmentation
        self.loop, self.folder, self.teachers = loop, folder, teachers
        self.data: dict[str, Any] = {"name": folder.name, "classes": list(folder.labels.names)}
        if teachers is not None:
            self.data["teachers"] = teachers.digests
        torch.manual_seed(loop.seed)
        self.network: SegmentationNetwork = build_network(config)
        self.network.views = views_of(config, spec)

    def start(self) -> str:
        """Weights of ImageNet, or of a checkpoint of ours."""
        source = self.settings.pretrained
        if is_packaged(source) or source.endswith(".safetensors"):
            return start_from(self.network, self.folder.labels, load_checkpoint(source))
        if source != "none":
            load_imagenet(self.network, source)
        return ""

    def objectives(self, processes: int) -> list[Objective]:
        """One: the network's loss. The teachers' soft labels are made first."""
        if self.teachers is not None:
            self.teachers.prepare()
        balance, weights = self.settings.class_balance, None
        if balance:
            weights = class_weights(self.folder, self.augmentation.train_split, balance, sys.stderr.isatty())
        model = TrainingModel(self.network, self.settings, weights, synced=processes > 1)
        if self.loop.ema and self.settings.modality_dropout:
            for norm in model.norms():
                norm.begin_alone()
        decoder = [*self.network.decoder.parameters(), *self.network.ensemble.parameters()]
        optimiser = make_optimiser(self.network.encoder.parameters(), decoder, self.loop)
        return [Objective(model, optimiser)]

    def frames(self) -> TrainingFrames:
        """Those to train on, with the images of the network's modalities and the teachers' soft labels."""
        return TrainingFrames(
            self.folder,
            self.augmentation.train_split,
            self.config.modalities,
            self.spec,
            self.augmentation,
            self.loop.seed,
            None if self.teachers is None else self.teachers.labels,
        )

    def inputs(self, batch: Batch, step: int) -> tuple[list[Tensor | None], Tensor, Tensor | None]:
        """The network's inputs, of which modality dropout may leave one, the labels, and the soft ones."""
        names = self.config.modalities
        if self.settings.cutmix:
            # The first frame's name: the parts of a step, and processes, draw rectangles of their own.
            rng = np.random.default_rng((self.loop.seed, step, 2, crc32(batch.names[0].encode())))
            batch = cut_and_mixed(batch, self.settings.cutmix, rng)
        assert batch.label is not None
        size = (batch.label.shape[-2], batch.label.shape[-1])
        only = only_modality(len(names), self.settings.modality_dropout, self.loop.seed, step)
        given = [
            self.spec.network_input(name, batch.images[name], size) if only in (None, index) else None
            for index, name in enumerate(names)
        ]
        return given, batch.label, batch.teacher

    def scored_frames(self) -> list[str]:
        """Those of the split to score on."""
        return self.folder.names(self.augmentation.val_split)

    def evaluate(self, network: nn.Module, names: Sequence[str], progress: bool) -> dict[str, Tensor]:
        """K x K confusion counts of each modality and of the ensemble."""
        outputs = (*self.config.modalities, "ensemble")
        if not names:
            return {name: ConfusionMatrix(self.config.classes).counts for name in outputs}
        with live(cast(SegmentationNetwork, network)) as backend:
            matrices = evaluate(
                backend, self.config.modalities, self.spec, self.folder, names, progress=progress
            )
        return {name: matrices[name].counts for name in outputs}

    def scores(self, counts: Mapping[str, Tensor]) -> Scores:
        """Pixel accuracy, mean accuracy and mean IoU."""
        found = {}
        for name, count in counts.items():
            matrix = ConfusionMatrix(self.config.classes)
            matrix.counts += count
            found[name] = matrix.scores()
        return found

    def picture(self, network: nn.Module, names: Sequence[str]) -> npt.NDArray[np.uint8]:
        """A row for each frame: its images, its label, and what each modality and the ensemble make of it."""
        with live(cast(SegmentationNetwork, network)) as backend:
            return mask_picture(backend, self.config.modalities, self.spec, self.folder, names)

    def save(self, path: Path, network: nn.Module, provenance: Mapping[str, Any]) -> None:
        """A checkpoint in half precision."""
        save_checkpoint(
            path,
            network.state_dict(),
            self.config,
            self.folder.labels,
            self.spec,
            dict(provenance),
            torch.float16,
        )

    def finish(self, best: Path, device: torch.device, progress: bool) -> str:
        """Temperatures for its confidence, and how far its modalities usually disagree, from ``val``."""
        names = self.scored_frames()
        checkpoint = load_checkpoint(best)
        segmenter = Segmenter(checkpoint, str(device), "fp32")
        fitted = calibrate(segmenter, self.folder, names, self.config.modalities, progress)
        split = self.augmentation.val_split
        with_temperatures(checkpoint, fitted, self.folder.name, split, len(names)).save(best)
        errors = [f"{one.key} {100 * one.before:.2f} -> {100 * one.after:.2f}" for one in fitted]
        return f"calibration error of best.safetensors on val in %, by its temperatures: {', '.join(errors)}"
