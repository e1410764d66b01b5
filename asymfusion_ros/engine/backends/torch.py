"""The network in torch itself: the default on a GPU, and the reference for every other backend."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.engine.allocator import keep_freed_memory
from asymfusion_ros.engine.backends.base import Inputs
from asymfusion_ros.engine.backends.recording import Recorded, Tensors, graphs
from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.engine.precision import PRECISIONS, choose_precision, fast_precisions
from asymfusion_ros.engine.sliced_fusion import slice_fusions
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkOutput, SegmentationNetwork

GRAPHS = "ASYMFUSION_CUDA_GRAPHS"  # 0: without, to compare, or where a driver has trouble with them


class TorchBackend:
    """Norms folded, channels last. What is not fp32 is autocast on a CPU; on a GPU the weights themselves are
    in that precision, and calls are played back from CUDA graphs. In bf16 the encoder's first layers stay in
    float32 (Encoder.exact). Raises ConfigError."""

    name = "torch"

    def __init__(self, checkpoint: ModelDescription, device: str = "auto", precision: str = "auto") -> None:
        if not isinstance(checkpoint, Checkpoint):
            raise ConfigError(
                "backend torch runs checkpoints, not exported files: use openvino or onnxruntime"
            )
        self.device = choose_device(device)
        if self.device.type == "cpu":
            keep_freed_memory()
        subject = "this GPU" if self.device.type == "cuda" else "this processor"
        chosen = choose_precision(
            precision, fast_precisions(self.device), checkpoint.precision_checks, "torch", subject
        )
        self.precision, self.precision_reason = chosen.name, chosen.why
        self._dtype = PRECISIONS[self.precision]
        self._modalities = checkpoint.config.modalities
        self._network = checkpoint.build()
        fold_norms(self._network)
        slice_fusions(self._network)
        if self._dtype == torch.bfloat16 and self._network.encoder.exact:
            self._network.encoder.lower = self._dtype
        self._play: Callable[[Tensors], NetworkOutput] = partial(self._infer, branches=True)
        self._play_ensemble: Callable[[Tensors], NetworkOutput] = partial(self._infer, branches=False)
        self._recorded: tuple[Recorded, ...] = ()
        self._autocast = self._dtype != torch.float32
        if self.device.type == "cuda":
            to_precision(self._network, self._dtype)
            self._autocast = False
            if os.environ.get(GRAPHS) != "0":
                record = graphs(self.device)
                self._recorded = Recorded(self._play, record), Recorded(self._play_ensemble, record)
                self._play, self._play_ensemble = self._recorded
        self._network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, inputs: Inputs) -> Tensor:
        """See Backend."""
        ensemble = self._run(self._play_ensemble, inputs).ensemble
        return ensemble.clone() if self._recorded else ensemble

    def outputs(self, inputs: Inputs) -> NetworkOutput:
        """See Backend."""
        output = self._run(self._play, inputs)
        if not self._recorded:
            return output
        logits = tuple(None if one is None else one.clone() for one in output.logits)
        return replace(
            output, logits=logits, ensemble=output.ensemble.clone(), weights=output.weights.clone()
        )

    def release(self) -> None:
        """Gives up the memory that is held for later calls."""
        for recorded in self._recorded:
            recorded.clear()

    def _run(self, play: Callable[[Tensors], NetworkOutput], inputs: Inputs) -> NetworkOutput:
        given = {name: x for name in self._modalities if (x := inputs.get(name)) is not None}
        with torch.inference_mode():
            return play(given)

    def _infer(self, inputs: Tensors, branches: bool) -> NetworkOutput:
        given = [inputs.get(name) for name in self._modalities]
        # On a GPU in the first weights' type; on a CPU autocast does it.
        whole = self.device.type == "cuda" and self._network.encoder.lower is None
        dtype = self._dtype if whole else torch.float32
        ordered = [None if x is None else x.to(dtype, memory_format=torch.channels_last) for x in given]
        with torch.autocast(self.device.type, self._dtype) if self._autocast else nullcontext():
            output: NetworkOutput = self._network(ordered, branches, once=True)
            return output


def to_precision(network: SegmentationNetwork, dtype: torch.dtype) -> None:
    """The weights of ``network``, whose norms are folded, in ``dtype``: autocast would convert them at each
    frame. The ensemble's few numbers stay as they are, and so do the encoder's first layers where those are
    exact (Encoder.lower)."""
    encoder = network.encoder
    exact = [encoder.get_submodule(name) for name in encoder.exact] if encoder.lower is not None else []
    kept = [(part, copy.deepcopy(part.state_dict())) for part in (network.ensemble, *exact)]
    network.to(dtype)
    for part, values in kept:
        part.float().load_state_dict(values)
