"""The network in torch itself: the default on a GPU, and the reference for every other backend."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.engine.backends.base import Inputs
from asymfusion_ros.engine.device import PRECISIONS, choose_device, choose_precision
from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkOutput


class TorchBackend:
    """Norms folded, channels last, autocast for what is not fp32. Raises ConfigError."""

    name = "torch"

    def __init__(self, checkpoint: ModelDescription, device: str = "auto", precision: str = "auto") -> None:
        if not isinstance(checkpoint, Checkpoint):
            raise ConfigError(
                "backend torch runs checkpoints, not exported files: use openvino or onnxruntime"
            )
        self.device = choose_device(device)
        self._dtype = choose_precision(precision, self.device)
        self.precision = next(name for name, dtype in PRECISIONS.items() if dtype == self._dtype)
        self._modalities = checkpoint.config.modalities
        self._network = checkpoint.build()
        fold_norms(self._network)
        self._network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, inputs: Inputs) -> Tensor:
        """See Backend."""
        return self.outputs(inputs).ensemble

    def outputs(self, inputs: Inputs) -> NetworkOutput:
        """See Backend."""
        given = [inputs.get(name) for name in self._modalities]
        ordered = [None if x is None else x.contiguous(memory_format=torch.channels_last) for x in given]
        lower = self._dtype != torch.float32
        autocast = torch.autocast(self.device.type, self._dtype) if lower else nullcontext()
        with torch.inference_mode(), autocast:
            return self._network(ordered)
