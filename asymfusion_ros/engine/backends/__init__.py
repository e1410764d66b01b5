"""What runs the network, by name; one module each."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_ros.engine.backends.memory_fallback import MemoryFallback
from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.engine.engine_file import EngineModel
from asymfusion_ros.engine.exported import SUFFIX, ExportedModel, load_exported
from asymfusion_ros.errors import CheckpointError, ConfigError

__all__ = ["BACKENDS", "Backend", "open_backend"]

LOG = logging.getLogger(__name__)

# name -> (module, class); a module is imported when its backend is asked for.
BACKENDS = {
    "torch": ("asymfusion_ros.engine.backends.torch", "TorchBackend"),
    "openvino": ("asymfusion_ros.engine.backends.openvino", "OpenVinoBackend"),
    "tensorrt": ("asymfusion_ros.engine.backends.tensorrt", "TensorRtBackend"),
    "onnxruntime": ("asymfusion_ros.engine.backends.onnxruntime", "OnnxRuntimeBackend"),
}

OWN_THREADS = ("openvino", "onnxruntime")


def open_backend(
    name: str,
    model: ModelDescription,
    device: str,
    precision: str,
    cpu_fallback: bool = False,
    threads: int = 0,
) -> Backend:
    """The network of a checkpoint, or of what was exported from one, on a backend; ``auto`` chooses.
    ``cpu_fallback``: whether it may run on the CPU where a GPU's memory is full. ``threads``: of a runtime
    that has threads of its own; 0: its choice.

    Raises ConfigError for a backend that is unknown or not installed, a model of which it can make nothing,
    or a device or precision that it does not have.
    """
    if name == "auto" and isinstance(model, Checkpoint) and choose_device(device).type == "cpu":
        beside = _beside(model, precision, threads)
        if beside is not None:
            return beside
    if name == "auto":
        name = choose_backend(model)
    if name not in BACKENDS:
        raise ConfigError(f"backend: unknown backend {name!r}; use auto, {', '.join(BACKENDS)}")
    module, cls = BACKENDS[name]
    make: Callable[..., Backend] = partial(getattr(importlib.import_module(module), cls), model)
    if name == "torch" and choose_device(device).type == "cuda":
        return MemoryFallback(make, device, precision, cpu_fallback)
    if name in OWN_THREADS:
        return make(device, precision, threads)
    return make(device, precision)


def _beside(model: Checkpoint, precision: str, threads: int) -> Backend | None:
    """For what was exported of a checkpoint in float32 into the ``.onnx`` beside its file, where OpenVINO is
    installed. None where there is no such file, or it cannot be run, which is logged: then it is torch's."""
    from asymfusion_ros.engine.backends.beside import BesideBackend

    if model.file is None or not (path := model.file.with_suffix(SUFFIX)).is_file():
        return None
    if not (find_spec("openvino") and find_spec("onnx")):
        LOG.info("%s is not used without OpenVINO: pip install 'asymfusion_ros[openvino]'", path)
        return None
    try:
        exported = load_exported(path)
        if not exported.is_of(model.file):
            raise CheckpointError(f"{path} is of another checkpoint than {model.file}: export it anew")
        if exported.precision != "fp32":
            return None  # other labels are for whoever asks for them
        return BesideBackend(model, exported, precision, threads)
    except (CheckpointError, ConfigError, RuntimeError) as error:  # OpenVINO's own are RuntimeErrors
        LOG.warning("%s; torch runs the checkpoint", error)
        return None


def choose_backend(model: ModelDescription) -> str:
    """torch for a checkpoint, tensorrt for an engine file; for an ONNX file the first of openvino and
    onnxruntime that is installed, in int8 openvino alone. Raises ConfigError where none is."""
    if isinstance(model, EngineModel):
        return "tensorrt"
    if not isinstance(model, ExportedModel):
        return "torch"
    able = ("openvino",) if model.precision == "int8" else ("openvino", "onnxruntime")
    found = next((name for name in able if find_spec(name)), None)
    if found is None:
        raise ConfigError(f"{model.path} needs a runtime: pip install 'asymfusion_ros[openvino]'")
    return found
