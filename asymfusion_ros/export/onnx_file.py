"""A checkpoint as one ONNX file: a graph for each set of available modalities, over the same weights."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.compose import add_prefix

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.checkpoint.description import available_key, available_sets
from asymfusion_ros.engine.export_metadata import EXPORT
from asymfusion_ros.engine.exported import output_names
from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.export.unstack import Graph, unstacked
from asymfusion_ros.network.ensemble import Ensemble

SMALLEST_HALVED = 4096  # elements; below, half the bytes are not worth a node


Names = tuple[str, ...]


def to_onnx(
    checkpoint: Checkpoint,
    size: tuple[int, int],
    progress: Callable[[Sequence[Names]], Iterable[Names]] = iter,
) -> onnx.ModelProto:
    """The network of ``checkpoint`` for inputs of ``size`` (height, width), without metadata.

    ``progress`` gets the sets of modalities and gives them back, one for each graph that is made.
    """
    network = checkpoint.build()
    fold_norms(network)
    network.requires_grad_(False)  # a graph has no room for the norms' writing in place otherwise
    names = checkpoint.config.modalities
    graphs = []
    for available in progress(available_sets(names)):
        images = tuple(torch.zeros(1, 3, *size) for _ in available)
        model = Graph(network, [names.index(name) for name in available], branches=True)
        graphs.append(_graph(unstacked(model, images), images, available))
    return _joined(graphs)


def describe(
    model: onnx.ModelProto,
    checkpoint: Checkpoint,
    size: tuple[int, int],
    checkpoint_sha256: str,
    checks: Mapping[str, Any],
    precision: str = "fp32",
) -> None:
    """Writes the metadata that ``load_exported`` reads into ``model``."""
    names = checkpoint.config.modalities
    ensemble = Ensemble(len(names))
    ensemble.load_state_dict({"alpha": checkpoint.state_dict["ensemble.alpha"]})
    weights = {
        available_key(available): ensemble.weights([name in available for name in names]).tolist()
        for available in available_sets(names)
    }
    export = {
        "size": list(size),
        "weights": weights,
        "checkpoint_sha256": checkpoint_sha256,
        **({} if precision == "fp32" else {"precision": precision}),
        "checks": dict(checks),
    }
    helper.set_model_props(model, {**checkpoint.to_metadata(), EXPORT: json.dumps(export)})


def _graph(
    module: torch.nn.Module, images: tuple[torch.Tensor, ...], available: Sequence[str]
) -> onnx.ModelProto:
    # torch's exporter prints each of its steps, and warns of packages that it could do without.
    with _quiet():
        program = torch.onnx.export(
            module,
            images,
            dynamo=True,
            verbose=False,
            external_data=False,
            input_names=list(available),
            output_names=output_names(available, branches=True),
        )
    assert program is not None
    return program.model_proto


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _joined(graphs: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """One model with the nodes of all; weights that are equal are kept once."""
    joined = onnx.ModelProto(ir_version=graphs[0].ir_version, producer_name="asymfusion_ros")
    joined.opset_import.extend(graphs[0].opset_import)
    joined.graph.name = "asymfusion"
    kept: dict[tuple[Any, ...], str] = {}
    inputs = set()
    for model in graphs:
        # Inputs and outputs keep their names; what is between gets the set's.
        prefix = f"{model.graph.output[0].name}/"
        graph = add_prefix(model, prefix, rename_inputs=False, rename_outputs=False).graph
        shared = {}
        for tensor in graph.initializer:
            array = numpy_helper.to_array(tensor)
            content = (array.dtype.str, array.shape, array.tobytes())
            if content not in kept:
                kept[content] = tensor.name
                nodes, stored = _stored(tensor.name, array)
                joined.graph.initializer.append(stored)
                joined.graph.node.extend(nodes)
            shared[tensor.name] = kept[content]
        for node in graph.node:
            for place, name in enumerate(node.input):
                node.input[place] = shared.get(name, name)
            joined.graph.node.append(node)
        joined.graph.input.extend(one for one in graph.input if one.name not in inputs)
        inputs |= {one.name for one in graph.input}
        joined.graph.output.extend(graph.output)
    onnx.checker.check_model(joined)
    return joined


def _stored(name: str, array: np.ndarray[Any, Any]) -> tuple[list[onnx.NodeProto], onnx.TensorProto]:
    """An initializer; in half the bytes, with the node that widens it, where nothing is lost by it."""
    if array.dtype == np.float32 and array.size >= SMALLEST_HALVED:
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        if np.array_equal(half.astype(np.float32), array):
            narrow = numpy_helper.from_array(half, f"{name}/half")
            return [helper.make_node("Cast", [narrow.name], [name], to=TensorProto.FLOAT)], narrow
    return [], numpy_helper.from_array(array, name)
