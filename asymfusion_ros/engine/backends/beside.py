"""A checkpoint on the CPU, run from the exported file that lies beside it."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.engine.backends.base import Backend, Inputs
from asymfusion_ros.engine.backends.openvino import OpenVinoBackend
from asymfusion_ros.engine.backends.torch import TorchBackend
from asymfusion_ros.engine.exported import ExportedModel
from asymfusion_ros.network import NetworkOutput

LOG = logging.getLogger(__name__)


class BesideBackend:
    """OpenVINO for frames of the size that ``exported`` was made for; for any other, torch with the
    checkpoint itself, which is logged once. See Backend; name and precision are of what ran the last
    frame. Raises ConfigError where OpenVINO is not to be had, or not in this precision.

    Attributes: ``size``, height and width of the network's inputs that OpenVINO runs.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        exported: ExportedModel,
        precision: str = "auto",
        threads: int = 0,
    ) -> None:
        self._exported = OpenVinoBackend(exported, "cpu", precision, threads)
        self._checkpoint, self._asked_for = checkpoint, precision
        self._file, self.size = exported.path, exported.size
        self._torch: TorchBackend | None = None
        self._last: Backend = self._exported

    @property
    def name(self) -> str:
        """See Backend."""
        return self._last.name

    @property
    def device(self) -> torch.device:
        """See Backend."""
        return self._exported.device

    @property
    def precision(self) -> str:
        """See Backend."""
        return self._last.precision

    @property
    def precision_reason(self) -> str:
        """See Backend."""
        why = self._last.precision_reason
        return (
            why if self._last is self._torch else f"{why}; run from {self._file.name} beside the checkpoint"
        )

    def __call__(self, inputs: Inputs) -> Tensor:
        """See Backend."""
        return self.of(inputs)(inputs)

    def outputs(self, inputs: Inputs) -> NetworkOutput:
        """See Backend."""
        return self.of(inputs).outputs(inputs)

    def on_torch(self) -> TorchBackend:
        """The checkpoint itself, for inputs of any size."""
        if self._torch is None:
            self._torch = TorchBackend(self._checkpoint, "cpu", self._asked_for)
        return self._torch

    def of(self, inputs: Inputs) -> Backend:
        """What runs these, which is the last from then on."""
        sizes = {tuple(x.shape[-2:]) for x in inputs.values() if x is not None}
        if sizes == {self.size}:
            self._last = self._exported
            return self._last
        if self._torch is None:
            (height, width), *_ = sizes
            LOG.warning(
                f"{self._file} is for network inputs of {self.size[1]}x{self.size[0]}, and these frames "
                f"make {width}x{height}: torch runs them, which is slower; `asymfusion tune`, or `asymfusion "
                "export` with --size of the camera, makes a file for them"
            )
        self._last = self.on_torch()
        return self._last
