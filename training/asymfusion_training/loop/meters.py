"""What a run measures of itself: the loss of an epoch, and how fast its steps were."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from asymfusion_ros.errors import UserError


class LossMeter:
    """Adds up the losses of an epoch, each checked one step late: to ask for a step's own loss at once would
    make the processor wait for the GPU.

    Raises UserError, from any method, for a loss that is not a number.
    """

    def __init__(self, total: float = 0.0, parts: Mapping[str, float] | None = None) -> None:
        """total: of the epoch's steps before, where a run is resumed. parts: likewise, of what the task wants
        told beside it."""
        self.total = total
        self._parts = {
            name: torch.tensor(value, dtype=torch.float64) for name, value in (parts or {}).items()
        }
        self._pending: tuple[Tensor, Sequence[str]] | None = None

    def add(self, loss: Tensor, names: Sequence[str], parts: Mapping[str, Tensor] | None = None) -> None:
        """``loss``: of one step, a scalar on any device, as ``parts`` are. ``names``: the frames that it
        saw."""
        self.settle()
        self._pending = loss, names
        for name, part in (parts or {}).items():
            before = self._parts.get(name, torch.zeros((), dtype=torch.float64))
            self._parts[name] = before.to(part.device) + part

    def settle(self) -> float:
        """The sum with the last step in it."""
        if self._pending is not None:
            (loss, names), self._pending = self._pending, None
            value = loss.item()
            if not math.isfinite(value):
                raise UserError(
                    f"the loss is {value} on frames {', '.join(names)}: look at these files, or lower "
                    "encoder_lr and decoder_lr; the checkpoints written before are kept"
                )
            self.total += value
        return self.total

    @property
    def parts(self) -> dict[str, float]:
        """The sums of the parts."""
        return {name: float(value) for name, value in self._parts.items()}

    def restart(self) -> float:
        """The sum of the epoch that ends; the next one begins at 0."""
        total, self.total = self.settle(), 0.0
        self._parts = {}
        return total


class EpochTimer:
    """The training steps of one epoch alone, as far as this process made them: no scoring, no saving.

    images: frames seen. seconds: that the steps took. waiting: seconds of them that no frames were there.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.restart()

    def restart(self) -> None:
        """Begins another epoch."""
        self.images, self.seconds, self.waiting = 0, 0.0, 0.0

    @contextmanager
    def step(self, images: int) -> Iterator[None]:
        """Around a training step that sees so many frames."""
        began = self._now()
        yield
        self.seconds += self._now() - began
        self.images += images

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Around the wait for frames, within a step."""
        began = self._now()
        yield
        self.waiting += self._now() - began

    @property
    def images_per_second(self) -> float:
        """0 before the first step."""
        return self.images / self.seconds if self.seconds else 0.0

    @property
    def waiting_share(self) -> float:
        """Of the steps' seconds; 0 to 1."""
        return self.waiting / self.seconds if self.seconds else 0.0
