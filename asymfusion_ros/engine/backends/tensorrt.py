"""TensorRT, for NVIDIA's GPUs and Jetsons. It runs what `asymfusion export --format tensorrt` has built."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor

from asymfusion_ros.checkpoint.description import ModelDescription, available_key
from asymfusion_ros.engine.backends.base import Inputs
from asymfusion_ros.engine.backends.recording import Recorded, Tensors, graphs
from asymfusion_ros.engine.backends.torch import GRAPHS
from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.engine.engine_file import EngineModel, plan_key
from asymfusion_ros.engine.exported import output_names
from asymfusion_ros.errors import CheckpointError, ConfigError, ImageError
from asymfusion_ros.network import NetworkOutput


def import_tensorrt() -> Any:
    """The package. Raises ConfigError where it is not installed."""
    try:
        import tensorrt
    except ImportError as error:
        raise ConfigError(
            "backend tensorrt needs TensorRT: pip install tensorrt; on a Jetson JetPack has it, for a "
            "virtual environment with --system-site-packages"
        ) from error
    return tensorrt


class TensorRtBackend:
    """A plan for each set of available modalities, loaded when the set is first seen; ``Segmenter.warm_up``
    goes through all. Nothing is built here. Raises ConfigError, CheckpointError."""

    name = "tensorrt"

    def __init__(self, model: ModelDescription, device: str = "auto", precision: str = "auto") -> None:
        if not isinstance(model, EngineModel):
            raise ConfigError(
                "backend tensorrt runs engine files: `asymfusion export CHECKPOINT --format tensorrt` makes "
                "one"
            )
        if precision not in ("auto", model.precision):
            raise ConfigError(
                f"{model.path} was built in {model.precision}, not {precision!r}: use auto, or build another"
            )
        trt = import_tensorrt()
        self.device = choose_device("cuda" if device == "auto" else device)
        if self.device.type != "cuda":
            raise ConfigError(f"backend tensorrt has no device {device!r}: use auto, cuda or cuda:N")
        model.built_for.check(model.path, trt.__version__, torch.cuda.get_device_name(self.device))
        self.precision, self.precision_reason = model.precision, "as the file was built"
        self._model = model
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self._contexts: dict[str, Any] = {}
        # TensorRT waits for the device on the default stream, more than is needed.
        self._stream = torch.cuda.Stream(self.device)
        self._ensemble: Any = lambda inputs: self._infer(inputs, branches=False)
        self._branches: Any = lambda inputs: self._infer(inputs, branches=True)
        if os.environ.get(GRAPHS) != "0":
            record = graphs(self.device)
            self._ensemble = Recorded(self._ensemble, record)
            self._branches = Recorded(self._branches, record)

    @torch.inference_mode()
    def __call__(self, inputs: Inputs) -> Tensor:
        """See Backend."""
        return torch.cat([self._ensemble(frame).ensemble.clone() for frame in self._frames(inputs)])

    @torch.inference_mode()
    def outputs(self, inputs: Inputs) -> NetworkOutput:
        """See Backend."""
        ensembles, branches = [], []
        for frame in self._frames(inputs):
            output = self._branches(frame)
            ensembles.append(output.ensemble.clone())
            branches.append([None if one is None else one.clone() for one in output.logits])
        logits = tuple(None if parts[0] is None else torch.cat(parts) for parts in zip(*branches))
        return NetworkOutput(logits, torch.cat(ensembles), output.weights)

    def _frames(self, inputs: Inputs) -> list[Tensors]:
        """One by one: the plans have a batch of one."""
        given = {name: x for name in self._model.config.modalities if (x := inputs.get(name)) is not None}
        for x in given.values():
            if tuple(x.shape[-2:]) != self._model.size:
                height, width = self._model.size
                raise ImageError(
                    f"{self._model.path} was built for network inputs of {width}x{height}, and this frame "
                    f"makes {x.shape[-1]}x{x.shape[-2]} of its other aspect ratio: build it with --size of "
                    "the camera"
                )
        ready = {name: x.to(self.device, torch.float32).contiguous() for name, x in given.items()}
        return [dict(zip(ready, row)) for row in zip(*(x.split(1) for x in ready.values()))]

    def _infer(self, inputs: Tensors, branches: bool) -> NetworkOutput:
        names = list(inputs)
        available = available_key(names)
        # A modality alone is the ensemble.
        several = branches and len(names) > 1
        found = self._execute(plan_key(available, several), inputs, output_names(names, several))
        own = dict(zip(names, found[1:] if several else found))
        weights = torch.tensor(self._model.weights[available])
        return NetworkOutput(
            tuple(own.get(name) for name in self._model.config.modalities), found[0], weights
        )

    def _execute(self, key: str, inputs: Tensors, outputs: list[str]) -> list[Tensor]:
        context = self._context(key)
        current = torch.cuda.current_stream(self.device)
        stream = self._stream if current == torch.cuda.default_stream(self.device) else current
        shapes = [tuple(context.engine.get_tensor_shape(name)) for name in outputs]
        made = [torch.empty(shape, dtype=torch.float32, device=self.device) for shape in shapes]
        for name, tensor in [*inputs.items(), *zip(outputs, made)]:
            if not context.set_tensor_address(name, tensor.data_ptr()):
                raise CheckpointError(f"{self._model.path}: its plan for {key} has no tensor {name}")
        stream.wait_stream(current)
        if not context.execute_async_v3(stream.cuda_stream):
            raise CheckpointError(f"{self._model.path}: its plan for {key} failed: see the lines before")
        current.wait_stream(stream)
        return made

    def _context(self, key: str) -> Any:
        if key not in self._contexts:
            with torch.cuda.device(self.device):
                engine = self._runtime.deserialize_cuda_engine(self._model.plan(key))
                context = None if engine is None else engine.create_execution_context()
            if context is None:
                raise CheckpointError(
                    f"{self._model.path}: TensorRT cannot load its plan for {key} (see the lines before); "
                    f"{self._model.built_for.command}"
                )
            self._contexts[key] = context
        return self._contexts[key]
