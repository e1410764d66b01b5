"""What the training loop asks of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from asymfusion_training.data.batch import Batch
from asymfusion_training.data.batch_sampler import Frames

Scores = dict[str, dict[str, float]]  # by output of the network (a modality, ensemble), then by metric


class Objective(NamedTuple):
    """model: a module whose forward pass gives a loss, so that Fabric wraps it as one; or the loss and a dict
    of scalars by name, which the history tells beside it. optimiser: of the parameters that it trains."""

    model: nn.Module
    optimiser: Optimizer


class Goal(NamedTuple):
    """The score that decides which epoch was the best, larger is better, and that the curves show in percent.

    output, metric: its keys in Scores. title: for people.
    """

    output: str
    metric: str
    title: str


class Task(Protocol):
    """One network and what it learns. Trainer calls it; it knows nothing of steps, devices or files' places.

    A task with two optimisers, as an adversarial one has, returns two objectives: they take turns on each
    batch, in their order.
    """

    @property
    def network(self) -> nn.Module:
        """All that learns. Its state is kept for resuming, its weights are averaged where ``ema`` asks."""

    @property
    def data(self) -> Mapping[str, Any]:
        """What the run learns from, ``name`` among it, as JSON can hold it; the same in a resumed run."""

    @property
    def goal(self) -> Goal:
        """The score that tells which epoch was the best."""

    @property
    def picture_file(self) -> str:
        """What ``picture`` is called in the run's folder."""

    def start(self) -> str:
        """Fills the network with the weights that it starts from; returns a line about them, or nothing.

        Not called where a run is resumed. Raises UserError for weights that cannot be had or do not fit.
        """

    def objectives(self, processes: int) -> Sequence[Objective]:
        """What is minimised. ``processes``: that share each batch."""

    def frames(self) -> Frames:
        """The frames to train on. Raises UserError where there are none."""

    def inputs(self, batch: Batch, step: int) -> tuple[Any, ...]:
        """What the objectives' models take for a batch, on the batch's device, at this step of the run."""

    def scored_frames(self) -> Sequence[str]:
        """The names of the frames that ``evaluate`` is to be called with."""

    def evaluate(self, network: nn.Module, names: Sequence[str], progress: bool) -> Mapping[str, Tensor]:
        """Counts over the frames called ``names``, by output of the network: sums, which processes add up.

        ``network``: ``self.network``, or the average of its weights. All outputs are there for no frames too.
        """

    def scores(self, counts: Mapping[str, Tensor]) -> Scores:
        """The scores that the counts of all processes give."""

    def picture(self, network: nn.Module, names: Sequence[str]) -> npt.NDArray[np.uint8]:
        """What the network makes of these frames, H x W x 3 RGB."""

    def save(self, path: Path, network: nn.Module, provenance: Mapping[str, Any]) -> None:
        """Writes a checkpoint."""

    def finish(self, best: Path, device: torch.device, progress: bool) -> str:
        """Adds to the checkpoint ``best`` what is worked out once, when the run has ended (and again where a
        run that has ended is resumed). Returns a line about it, or nothing."""
