"""A checkpoint's graphs built by TensorRT for the GPU of this machine, as one file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import torch
from onnx import ModelProto
from onnx.utils import Extractor

from asymfusion_ros.checkpoint.description import available_key
from asymfusion_ros.engine.backends.tensorrt import import_tensorrt
from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.engine.engine_file import BuiltFor, engine_bytes, plan_key
from asymfusion_ros.engine.exported import output_names
from asymfusion_ros.errors import ConfigError

Names = tuple[str, ...]
Progress = Callable[[Sequence[tuple[Names, bool]]], Iterable[tuple[Names, bool]]]


def built_for(command: str) -> BuiltFor:
    """This machine's TensorRT and GPU. Raises ConfigError where it has not both."""
    trt = import_tensorrt()
    return BuiltFor(str(trt.__version__), torch.cuda.get_device_name(choose_device("cuda")), command)


def wanted_plans(sets: Sequence[Names]) -> list[tuple[Names, bool]]:
    """(available modalities, whether with their own logits) of each plan."""
    return [(names, branches) for names in sets for branches in (False, True)[: len(names)]]


def graph_of(model: ModelProto, names: Names, branches: bool) -> bytes:
    """One plan's ONNX graph."""
    extracted: ModelProto = Extractor(model).extract_model(list(names), output_names(names, branches))
    return extracted.SerializeToString()


def build_plans(model: ModelProto, sets: Sequence[Names], progress: Progress = iter) -> dict[str, bytes]:
    """``model``: of ``to_onnx`` or ``to_half``; its types are kept. Minutes for a large network."""
    return {
        plan_key(available_key(names), branches): build_plan(graph_of(model, names, branches))
        for names, branches in progress(wanted_plans(sets))
    }


def build_plan(graph: bytes) -> bytes:
    """An ONNX graph as TensorRT's plan for this GPU, strongly typed. Raises ConfigError."""
    trt = import_tensorrt()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    # From TensorRT 11 on there is no other kind of network.
    flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(graph):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise ConfigError(f"TensorRT {trt.__version__} cannot read the network: {reasons}")
    config = builder.create_builder_config()
    # What is float32 in the graph is so because fp16 would not do, and TF32 has no more digits than that.
    config.clear_flag(trt.BuilderFlag.TF32)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ConfigError(
            f"TensorRT {trt.__version__} could not build the network: its lines above say why (often the "
            "GPU's memory)"
        )
    return bytes(plan)


def file_bytes(model: ModelProto, precision: str, target: BuiltFor, plans: dict[str, bytes]) -> bytes:
    """The engine file; ``model`` has been described (``onnx_file.describe``)."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    digest = hashlib.sha256(model.SerializeToString()).hexdigest()
    return engine_bytes(metadata, precision, digest, target, plans)
