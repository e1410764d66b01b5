"""A graph in half precision, by hand; what is exported for real is in test_exported.py."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from asymfusion_ros.export.half import to_half


def graph(nodes, constants, shape=(1, 2, 4, 4)):
    """x -> y through these nodes."""
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    stored = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    made = helper.make_graph(nodes, "made", value[:1], value[1:], stored)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)])


def convolution(source, target):
    return helper.make_node("Conv", [source, "weight"], [target], name=target)


WEIGHT = np.full((2, 2, 1, 1), 0.3, np.float32)
FOUR = [convolution(*pair) for pair in ("xa", "ab", "bc", "cd")]


def read_by(model, name):
    """The type of what the node of this name reads first, and of its own output."""
    values = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    types = {
        one.name: one.type.tensor_type.elem_type
        for one in [*values.value_info, *values.input, *values.output]
    }
    node = next(node for node in model.graph.node if node.name == name)
    return types[node.input[0]], types[node.output[0]]


def test_the_first_three_convolutions_stay_and_the_fourth_is_fp16():
    half = to_half(graph([*FOUR, helper.make_node("Relu", ["d"], ["y"])], {"weight": WEIGHT}))
    for name in "abc":
        assert read_by(half, name) == (TensorProto.FLOAT, TensorProto.FLOAT)
    assert read_by(half, "d") == (TensorProto.FLOAT16, TensorProto.FLOAT16)
    assert half.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    # Both are in the file, as both are read.
    assert sorted(one.data_type for one in half.graph.initializer) == [TensorProto.FLOAT, TensorProto.FLOAT16]


def test_a_softmax_after_them_is_float32_and_its_reader_fp16_again():
    nodes = [
        *FOUR,
        helper.make_node("Softmax", ["d"], ["soft"], name="soft", axis=1),
        helper.make_node("Mul", ["soft", "d"], ["y"], name="product"),
    ]
    half = to_half(graph(nodes, {"weight": WEIGHT}))
    assert read_by(half, "soft") == (TensorProto.FLOAT, TensorProto.FLOAT)
    assert read_by(half, "product") == (TensorProto.FLOAT16, TensorProto.FLOAT16)


def test_a_resize_keeps_its_scales_and_a_large_constant_its_sign():
    scales = np.array([1, 1, 1, 1], np.float32)
    nodes = [
        *FOUR,
        helper.make_node("Resize", ["d", "", "scales"], ["same"], name="resize", mode="nearest"),
        helper.make_node("Add", ["same", "large"], ["y"], name="sum"),
    ]
    large = np.full((1, 2, 1, 1), -1e6, np.float32)
    half = to_half(graph(nodes, {"weight": WEIGHT, "scales": scales, "large": large}))
    assert read_by(half, "resize") == (TensorProto.FLOAT16, TensorProto.FLOAT16)
    kept = {one.name: numpy_helper.to_array(one) for one in half.graph.initializer}
    assert kept["scales"].dtype == np.float32
    assert kept["large/half"].min() == np.finfo(np.float16).min  # and not minus infinity


def test_what_is_stored_in_half_the_bytes_is_read_as_it_is():
    widen = helper.make_node("Cast", ["stored"], ["weight"], to=TensorProto.FLOAT)
    half = to_half(
        graph([widen, *FOUR, helper.make_node("Relu", ["d"], ["y"])], {"stored": WEIGHT.astype(np.float16)})
    )
    assert [one.name for one in half.graph.initializer] == ["stored"]
    reads = {node.name: node.input[1] for node in half.graph.node if node.op_type == "Conv"}
    assert reads == {"a": "weight", "b": "weight", "c": "weight", "d": "stored"}
