"""A checkpoint on the CPU, run from the exported file that lies beside it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.engine.backends.base import Backend, Inputs
from asymfusion_ros.engine.backends.graph import Operation
from asymfusion_ros.engine.backends.openvino import OpenVinoBackend
from asymfusion_ros.engine.backends.torch import TorchBackend
from asymfusion_ros.engine.exported import ExportedModel
from asymfusion_ros.network import NetworkOutput

LOG = logging.getLogger(__name__)


class BesideBackend:
    """OpenVINO for frames of the size that ``exported`` was made for; for any other, torch with the
    checkpoint itself, which ``log`` is told once. See Backend."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        exported: ExportedModel,
        precision: str = "auto",
        threads: int = 0,
        log: Callable[[str], object] = LOG.warning,
    ) -> None:
        self._exported = OpenVinoBackend(exported, "cpu", precision, threads)
        self._checkpoint, self._asked_for, self._log = checkpoint, precision, log
        self._file, self._size = exported.path, exported.size
        self._torch: TorchBackend | None = None

    @property
    def name(self) -> str:
        """See Backend: openvino, until there was a frame of another size."""
        return self._exported.name if self._torch is None else self._torch.name

    @property
    def device(self) -> torch.device:
        """See Backend."""
        return self._exported.device

    @property
    def precision(self) -> str:
        """See Backend."""
        return self._exported.precision

    @property
    def precision_reason(self) -> str:
        """See Backend."""
        return f"{self._exported.precision_reason}; run from {self._file.name} beside the checkpoint"

    def __call__(self, inputs: Inputs) -> Tensor:
        """See Backend."""
        return self._of(inputs)(inputs)

    def outputs(self, inputs: Inputs) -> NetworkOutput:
        """See Backend."""
        return self._of(inputs).outputs(inputs)

    def operations(self, inputs: Inputs, frames: int) -> list[Operation]:
        """See GraphBackend; of frames of the export's size."""
        return self._exported.operations(inputs, frames)

    def _of(self, inputs: Inputs) -> Backend:
        sizes = {tuple(x.shape[-2:]) for x in inputs.values() if x is not None}
        if sizes == {self._size}:
            return self._exported
        if self._torch is None:
            self._torch = TorchBackend(self._checkpoint, "cpu", self._asked_for)
            (height, width), *_ = sizes
            self._log(
                f"{self._file} is for network inputs of {self._size[1]}x{self._size[0]}, and these frames "
                f"make {width}x{height}: torch runs them, which is slower; `asymfusion tune`, or `asymfusion "
                "export` with --size, makes a file for them"
            )
        return self._torch
