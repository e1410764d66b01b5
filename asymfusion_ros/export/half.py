"""An exported graph in half precision: fp16 in the file itself, so that no runtime has to be asked for it.

Runtimes that keep to a graph's own types (TensorRT's strongly typed networks) compute in fp16 only then.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from asymfusion_ros.engine.precision import EXACT_CONVOLUTIONS
from asymfusion_ros.export.depth import convolution_depths

# These add up many terms, or have a range that fp16 lacks.
EXACT_OPERATORS = {"Softmax", "Sigmoid", "Exp", "Log", "Pow", "Sqrt", "Div", "ReduceMean", "ReduceSum"}
# Where only some inputs are of the type that is computed in.
TYPED_INPUTS = {"Resize": (0,), "Pad": (0, 2), "Clip": (0, 1, 2), "Slice": (0,), "Where": (1, 2)}


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 model of ``to_onnx`` with its weights and nearly all that is computed in fp16. Inputs and
    outputs stay float32. The argument is left as it is."""
    return _Halving(model).run()


class _Halving:
    """Copies a model node by node, with a cast where a tensor of one type is read as the other."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        graph = onnx.shape_inference.infer_shapes(model).graph
        values = [*graph.input, *graph.value_info, *graph.output]
        self._floats = {one.name for one in values if one.type.tensor_type.elem_type == TensorProto.FLOAT}
        self._constants = {one.name: one for one in model.graph.initializer}
        self._depth = convolution_depths(model)
        self._half: set[str] = set()  # tensors of the copy that are fp16
        self._casts: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._stored: dict[str, onnx.TensorProto] = {}

    def run(self) -> onnx.ModelProto:
        outputs = {one.name for one in self._model.graph.output}
        widened = {}  # what stands for a constant that the file has in half the bytes
        for node in self._model.graph.node:
            if node.op_type == "Cast" and node.input[0] in self._constants:
                widened[node.output[0]] = node
                continue
            self._convert(node, widened, outputs)
        graph = self._model.graph
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._stored.values())
        onnx.checker.check_model(self._model)
        return self._model

    def _convert(
        self, node: onnx.NodeProto, widened: dict[str, onnx.NodeProto], outputs: Iterable[str]
    ) -> None:
        depth = self._depth[node.output[0]]
        computes = any(name in self._floats for name in node.output)
        half = computes and depth > EXACT_CONVOLUTIONS and node.op_type not in EXACT_OPERATORS
        places = TYPED_INPUTS.get(node.op_type, range(len(node.input)))
        for place, name in enumerate(node.input):
            if name in widened:
                node.input[place] = self._weight(widened[name], half and place in places)
            elif name in self._constants:
                node.input[place] = self._constant(name, half and place in places)
            elif name in self._floats and place in places:
                node.input[place] = self._as(name, half)
        self._nodes.append(node)
        for place, name in enumerate(node.output):
            if half and name in outputs:
                node.output[place] = self._casts[name, TensorProto.FLOAT16] = f"{name}/half"
                self._nodes.append(_cast(node.output[place], name, TensorProto.FLOAT))
            elif half:
                self._half.add(name)

    def _weight(self, cast: onnx.NodeProto, half: bool) -> str:
        """A constant that is fp16 in the file already."""
        stored = self._constants[cast.input[0]]
        if half:
            return self._kept(stored)
        if cast.output[0] not in self._stored and cast not in self._nodes:
            self._kept(stored)
            self._nodes.append(cast)
        return cast.output[0]

    def _constant(self, name: str, half: bool) -> str:
        constant = self._constants[name]
        if not half or constant.data_type != TensorProto.FLOAT:
            return self._kept(constant)
        other = f"{name}/half"
        if other not in self._stored:
            values = numpy_helper.to_array(constant)
            limits = np.finfo(np.float16)
            self._kept(numpy_helper.from_array(values.clip(limits.min, limits.max).astype(np.float16), other))
        return other

    def _kept(self, constant: onnx.TensorProto) -> str:
        self._stored[constant.name] = constant
        return constant.name

    def _as(self, name: str, half: bool) -> str:
        """The tensor in the type that a node computes in."""
        if half == (name in self._half):
            return name
        kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        if (name, kind) not in self._casts:
            other = f"{name}/{'half' if half else 'full'}"
            self._nodes.append(_cast(name, other, kind))
            self._casts[name, kind] = other
        return self._casts[name, kind]


def _cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], to=kind)
