"""What a GPU's backend does where the GPU's memory is full: smaller batches, then the CPU where allowed."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from asymfusion_ros.engine.backends.base import Backend, Inputs
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import NetworkOutput

LOG = logging.getLogger(__name__)
MEBIBYTE = 1 << 20
Output = TypeVar("Output")


class DeviceMemoryError(UserError):
    """A device's memory is full, and there is nothing less that is allowed."""


class MemoryFallback:
    """A backend that goes on with less where its device's memory is full: half the batch, and again, down to
    single frames; then the CPU in fp32, where ``cpu`` allows it. It does not go back.

    ``open_on(device, precision)`` makes the backend, at once. Inputs stay where they were, and so do outputs.
    ``log`` gets a line at each step. Raises DeviceMemoryError where a single frame doesn't fit and the CPU is
    not allowed; the next call tries anew.

    Attributes: ``condition``, what it had to give up, in a line; empty as long as all goes well. ``most``:
    frames that go through it at once, None for any number.
    """

    def __init__(
        self,
        open_on: Callable[[str, str], Backend],
        device: str,
        precision: str,
        cpu: bool = False,
        log: Callable[[str], object] = LOG.warning,
    ) -> None:
        self._open_on = open_on
        self._cpu = cpu
        self._log = log
        self.condition = ""
        self.most: int | None = None
        self._gave_up = False
        try:
            self._backend = open_on(device, precision)
            failed = False
        except torch.OutOfMemoryError:
            failed = True
        if failed:  # beyond the exception, whose traceback holds what was loaded
            self._go_to_cpu("to load the network")
        self._device = self._backend.device

    @property
    def name(self) -> str:
        """See Backend."""
        return self._backend.name

    @property
    def device(self) -> torch.device:
        """Where inputs are to be, and outputs are, whatever computes."""
        return self._device

    @property
    def precision(self) -> str:
        """See Backend."""
        return self._backend.precision

    @property
    def precision_reason(self) -> str:
        """See Backend."""
        return self._backend.precision_reason

    @property
    def computes_on(self) -> torch.device:
        """Where the network runs."""
        return self._backend.device

    def __call__(self, inputs: Inputs) -> Tensor:
        """See Backend."""
        return self._joined(self._run(lambda given: self._backend(given), inputs))

    def outputs(self, inputs: Inputs) -> NetworkOutput:
        """See Backend."""
        found = self._run(lambda given: self._backend.outputs(given), inputs)
        logits = []
        for parts in zip(*(one.logits for one in found)):
            there = [one for one in parts if one is not None]
            logits.append(self._joined(there) if there else None)
        weights = found[0].weights.to(self._device)
        return NetworkOutput(tuple(logits), self._joined([one.ensemble for one in found]), weights)

    def _run(self, call: Callable[[Inputs], Output], inputs: Inputs) -> list[Output]:
        count = next(len(x) for x in inputs.values() if x is not None)
        while True:
            at_once = count if self.most is None else min(self.most, count)
            parts = [inputs] if at_once == count else _parts(inputs, at_once)
            try:
                return [call(self._moved(part)) for part in parts]
            except torch.OutOfMemoryError:
                if self._gave_up:  # there is nothing less than the CPU
                    raise
            self._give_way(at_once)

    def _give_way(self, at_once: int) -> None:
        release = getattr(self._backend, "release", None)
        if release is not None:
            release()
        if at_once > 1:
            self.most = at_once // 2
            self._say(
                f"the GPU's memory is full{self._memory()}: batches of {self.most} instead of {at_once}"
            )
        else:
            self._go_to_cpu("for one frame")
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _go_to_cpu(self, purpose: str) -> None:
        full = f"the GPU's memory is full{self._memory()}, and does not suffice {purpose}"
        if not self._cpu:
            raise DeviceMemoryError(
                f"{full}: end other programs that use the GPU, take a smaller checkpoint or input size, or "
                "allow the CPU (cpu_fallback)"
            )
        self.most = None
        self._say(f"{full}: the network runs on the CPU; configure anew to try the GPU again")
        self._gave_up = True
        self._backend = self._open_on("cpu", "fp32")

    def _say(self, line: str) -> None:
        self.condition = line
        self._log(line)

    def _memory(self) -> str:
        """What is free, where that can be asked."""
        device = getattr(self, "_device", torch.device("cuda"))
        if device.type != "cuda" or not torch.cuda.is_available():
            return ""
        free, total = torch.cuda.mem_get_info(device)
        return f" ({free // MEBIBYTE} of {total // MEBIBYTE} MiB are free)"

    def _moved(self, inputs: Inputs) -> Inputs:
        device = self._backend.device
        return {name: None if x is None else x.to(device) for name, x in inputs.items()}

    def _joined(self, parts: Sequence[Tensor]) -> Tensor:
        whole = parts[0] if len(parts) == 1 else torch.cat(list(parts))
        return whole.to(self._device)


def _parts(inputs: Inputs, at_once: int) -> Iterator[Inputs]:
    """The frames of a batch, at most so many at a time."""
    split = {name: x.split(at_once) for name, x in inputs.items() if x is not None}
    for parts in zip(*split.values()):
        yield dict(zip(split, parts))
