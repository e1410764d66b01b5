"""The teachers' soft labels of the training frames, made once and kept on disk."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from tqdm import tqdm

from asymfusion_ros import Segmenter
from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.checkpoint.digest import sha256
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.text_file import parse_json, read_text
from asymfusion_ros.engine.exported import scored_by
from asymfusion_ros.errors import UserError
from asymfusion_ros.packaged import checkpoint_file
from asymfusion_training.data.batch import collate
from asymfusion_training.data.soft_labels import STRIDE, SoftLabels
from asymfusion_training.evaluation.plan import check_labels
from asymfusion_training.evaluation.predict import ensemble_probabilities
from asymfusion_training.folder_lock import FILE, USED, locked, read_alone, share
from asymfusion_training.tasks.segmentation.settings import SegmentationSettings

DESCRIPTION = "teachers.json"
LARGEST = 1024 * 1024  # bytes of it


class Teachers:
    """The recipe's teachers, and the folder ``cache`` of what they make of the frames called ``names``.

    A frame's file is the mean over the teachers, their scales and mirror images, at a quarter of the
    student's input. teachers.json says what the files were made from.
    """

    def __init__(
        self,
        settings: SegmentationSettings,
        folder: Folder,
        names: Sequence[str],
        spec: InputSpec,
        cache: Path,
        fabric: Fabric,
    ) -> None:
        """spec: the student's. Raises UserError for a checkpoint that is missing, damaged, or of other
        classes than the folder's, and ConfigError for one with modalities that the folder lacks."""
        self.settings, self.folder, self.names, self.spec = settings, folder, list(names), spec
        self.fabric = fabric
        self.labels = SoftLabels(cache, len(folder.labels))
        modalities: dict[str, None] = {}
        for path in settings.teachers:
            checkpoint = load_checkpoint(path)
            check_labels(checkpoint, folder, path, "a teacher must have the folder's classes")
            modalities |= dict.fromkeys(checkpoint.config.modalities)
        folder.check_modalities(modalities)
        self.modalities = tuple(modalities)
        files = [checkpoint_file(path) for path in settings.teachers]
        self.digests = [sha256(path) for path in files]

    def prepare(self) -> SoftLabels:
        """Makes the files that are not there yet, each process its part of them.

        Those of other teachers, settings or frames are removed first, which the first process says. Raises
        UserError for a frame that cannot be read, for a folder that holds something else, and for a full
        disk; the same command then goes on with what is missing.
        """
        with self._alone():
            if self.fabric.is_global_zero:
                self._clear()
            self.fabric.barrier()
            missing = [name for name in self.names if not self.labels.path(name).exists()]
            self.fabric.barrier()  # everyone has looked before anyone writes
            if missing and self.fabric.is_global_zero:
                print(f"teachers: their predictions for {len(missing)} frames go to {self.labels.folder}")
            mine = missing[self.fabric.global_rank :: self.fabric.world_size]
            if mine:
                self._make(mine)
            self.fabric.barrier()
        return self.labels

    def _alone(self) -> AbstractContextManager[Any]:
        """Two runs with one cache at once: the second waits, and finds the files there."""
        if not self.fabric.is_global_zero:
            return nullcontext()
        cache = self.labels.folder
        return locked(cache, wait=True, told=f"teachers: another run fills {cache}: waiting for it")

    def _make(self, names: Sequence[str]) -> None:
        device = self.fabric.device
        segmenters = [
            Segmenter.from_checkpoint(path, str(device), "fp32", scored_by(path))
            for path in self.settings.teachers
        ]
        for path, segmenter in zip(self.settings.teachers, segmenters):
            if segmenter.checkpoint.input_spec.several_views:
                raise UserError(
                    f"teachers: {path} averages several views by itself: give the checkpoint that it was "
                    "made of, whose views are teacher_scales and teacher_flip"
                )
        quiet = not (self.fabric.is_global_zero and sys.stderr.isatty())
        for name in tqdm(names, "ask the teachers", unit="frame", disable=quiet):
            frame = self.folder.read(name, self.modalities)
            images = collate([frame]).to(device).images
            height, width = next(iter(images.values())).shape[-2:]
            rows, columns = (side // STRIDE for side in self.spec.network_size(height, width))
            found = [
                ensemble_probabilities(
                    segmenter.backend,
                    segmenter.checkpoint.input_spec,
                    {modality: images[modality] for modality in segmenter.modalities},
                    (rows, columns),
                    self.settings.teacher_scales,
                    self.settings.teacher_flip,
                )
                for segmenter in segmenters
            ]
            self.labels.write(name, sum(found[1:], found[0]) / len(found))

    def _clear(self) -> None:
        """Leaves nothing in the folder but what these teachers make of these frames."""
        cache, now = self.labels.folder, self._described()
        path = cache / DESCRIPTION
        if path.is_file():
            before = read_description(path)
            changed = [name for name in now if before.get(name) != now[name]]
            if not changed:
                share(cache)
                return
            if not read_alone(cache):
                raise UserError(
                    f"teachers: another run reads {cache}, which was made with other {', '.join(changed)}: "
                    "give this run a folder of its own (--teacher-cache), or wait for that one"
                )
            print(f"teachers: {cache} was made with other {', '.join(changed)}: it is made again")
            for file in cache.rglob("*.png"):
                file.unlink()
        elif any(file.name not in (FILE, USED) for file in cache.iterdir()):
            raise UserError(f"teachers: {cache} holds something else: give another folder")
        write_whole(path, (json.dumps(now, indent=2) + "\n").encode())
        share(cache)

    def _described(self) -> dict[str, Any]:
        """What the files depend on, as JSON can hold it."""
        frames = hashlib.sha256(self.folder.name.encode())
        for name in self.names:
            frames.update(name.encode())
            for modality in self.modalities:
                path = self.folder.images[modality].path(name)
                size = path.stat().st_size if path.is_file() else -1
                frames.update(f" {modality} {size}".encode())
        return {
            "teachers": self.digests,
            "scales": list(self.settings.teacher_scales),
            "flip": self.settings.teacher_flip,
            "input": [self.spec.height, self.spec.width],
            "frames": frames.hexdigest(),
        }


def read_description(path: Path) -> dict[str, Any]:
    """What a cache's teachers.json says. Raises UserError for one that is none."""
    try:
        found = parse_json(read_text(path, LARGEST))
    except ValueError as error:
        raise UserError(f"teachers: {path} is not JSON: remove that folder") from error
    if not isinstance(found, dict) or "teachers" not in found:
        raise UserError(f"teachers: {path} is not the description of such a folder: remove that folder")
    return found
