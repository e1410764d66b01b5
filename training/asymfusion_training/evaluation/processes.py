"""One job over several processes of this machine.

Frames are scored one by one wherever that is, and their counts come back in order as whole numbers: the
result is the same, however many processes there are.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import cv2
import torch

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.errors import UserError
from asymfusion_training.evaluation.scorer import Scorer, Scores
from asymfusion_training.evaluation.settings import Settings


@dataclass(frozen=True)
class Job:
    """What a process needs to know to build its own Scorer."""

    checkpoint: str
    data: Path
    modalities: tuple[str, ...]
    settings: Settings
    masks: Path | None = None

    def scorer(self, device: torch.device) -> Scorer:
        checkpoint = load_checkpoint(self.checkpoint)
        network = checkpoint.build()
        fold_norms(network)  # as the engine does
        network.to(device, memory_format=torch.channels_last)
        return Scorer(
            network, checkpoint.input_spec, Folder(self.data), self.modalities, self.settings, self.masks
        )


def score_frames(job: Job, names: Sequence[str], devices: Sequence[torch.device]) -> Iterator[Scores]:
    """The counts of each frame, in order; one process for each of ``devices``, this one if there is one."""
    if len(devices) == 1:
        yield from job.scorer(devices[0]).frames(names)
        return
    context = get_context("spawn")  # a forked CUDA context or thread pool does not work
    queue = context.SimpleQueue()
    for device in devices:
        queue.put(str(device))
    threads = max(1, torch.get_num_threads() // len(devices))
    try:
        with ProcessPoolExecutor(len(devices), context, _start, (job, queue, threads)) as pool:
            yield from pool.map(_frame, names)
    except BrokenProcessPool as error:
        raise UserError(
            f"one of the {len(devices)} processes died, perhaps for lack of memory: use fewer --processes"
        ) from error


_scorer: Scorer | None = None  # a process's own


def _start(job: Job, devices: SimpleQueue[str], threads: int) -> None:
    global _scorer
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops the others
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    _scorer = job.scorer(torch.device(devices.get()))


def _frame(name: str) -> Scores:
    assert _scorer is not None
    return _scorer.frame(name)
