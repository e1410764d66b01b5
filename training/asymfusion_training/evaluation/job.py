"""A checkpoint to score on a folder's frames, by one process or several.

Frames are scored one by one wherever that is, and counts are whole numbers that add up: the result is the
same, however many processes there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from lightning_fabric import Fabric
from torch import Tensor
from tqdm import tqdm

from asymfusion_ros import Segmenter
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.engine.exported import scored_by
from asymfusion_ros.errors import UserError
from asymfusion_training.evaluation.counts import SplitSum
from asymfusion_training.evaluation.scorer import Scorer
from asymfusion_training.evaluation.scoring_settings import ScoringSettings
from asymfusion_training.loop.devices import end_process_group_at_exit


@dataclass(frozen=True)
class Job:
    """What a process needs to know to score. modalities: given to the network, in its order. precision: of
    the Segmenter, whose backend runs the network. temperature: of the confidence, which
    is not counted without."""

    checkpoint: str
    data: Path
    modalities: tuple[str, ...]
    settings: ScoringSettings
    precision: str = "fp32"
    masks: Path | None = None
    temperature: float | None = None

    def scorer(self, device: torch.device) -> Scorer:
        """The checkpoint as the robot runs it, on this device."""
        backend = scored_by(self.checkpoint)
        segmenter = Segmenter.from_checkpoint(self.checkpoint, str(device), self.precision, backend)
        return Scorer(
            segmenter.backend,
            segmenter.checkpoint.input_spec,
            Folder(self.data),
            self.modalities,
            self.settings,
            self.masks,
            self.temperature,
        )


def run_jobs(fabric: Fabric, jobs: Sequence[Job], names: Sequence[str]) -> list[SplitSum] | UserError:
    """The counts of each job over the frames called ``names``, for which the processes share the frames.

    For Fabric.launch, which passes no exception on: a UserError of any process is returned, by all of them.
    """
    if fabric.world_size > 1:
        end_process_group_at_exit()
    found: list[SplitSum] = []
    for job in jobs:
        counts = _shared_out(fabric, job, names)
        if isinstance(counts, UserError):
            return counts
        found.append(counts)
    return found


def _shared_out(fabric: Fabric, job: Job, names: Sequence[str]) -> SplitSum | UserError:
    rank, processes = fabric.global_rank, fabric.world_size
    if processes > 1:
        cv2.setNumThreads(1)
    error = None
    total = SplitSum((*job.modalities, "ensemble"), len(names), len(Folder(job.data).labels))
    try:
        mine = range(rank, len(names), processes)
        scored = job.scorer(fabric.device).frames([names[number] for number in mine])
        bar = tqdm(scored, "evaluate", len(mine), unit="frame", disable=rank > 0, leave=False)
        for number, counts in zip(mine, bar):
            total.add(number, counts)
    except UserError as caught:
        error = caught
    failures = torch.zeros(processes, dtype=torch.int64)
    failures[rank] = error is not None
    failures = _reduced(fabric, failures)
    if failures.any():  # the first of those that failed tells all
        return UserError(fabric.broadcast(str(error), src=int(failures.argmax())))
    total.table = _reduced(fabric, torch.from_numpy(total.table)).numpy()
    total.confidence = _reduced(fabric, torch.from_numpy(total.confidence)).numpy()
    return total


def _reduced(fabric: Fabric, counts: Tensor) -> Tensor:
    """The sum over the processes."""
    whole = fabric.all_reduce(counts.to(fabric.device), reduce_op="sum")
    assert isinstance(whole, Tensor)
    return whole.cpu()
