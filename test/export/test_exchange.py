"""Exchanges without slices give the same bits, and what only looks like one stays as it is."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from asymfusion_ros.engine.backends.onnxruntime_masks import masks_as_convolutions
from asymfusion_ros.export.exchange import plain_exchanges
from asymfusion_ros.network.fusion.asymmetric import (
    PAPER_OFFSETS,
    RELEASED_OFFSETS,
    paper_groups,
    pixel_shift,
)

aten = torch.ops.aten
IMAGES = (torch.randn(1, 11, 5, 7), torch.randn(1, 11, 5, 7))


class Of(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, a, b):
        return self.function(a, b)


def rewritten(function):
    """The function's graph after the rewriting, and the kinds of its nodes."""
    with torch.no_grad():
        module = torch.export.export(Of(function), IMAGES).module()
    shapes = {
        node: tuple(node.meta["val"].shape)
        for node in module.graph.nodes
        if isinstance(node.meta.get("val"), torch.Tensor)
    }
    plain_exchanges(module, module.graph, shapes)
    module.graph.eliminate_dead_code()
    module.recompile()
    return module, {node.target for node in module.graph.nodes if node.op == "call_function"}


def shuffled(a, b):
    return torch.cat([a[:, :8], b[:, 8:]], 1), torch.cat([b[:, :8], a[:, 8:]], 1)


def test_shuffled_channels_are_chosen_by_a_mask():
    module, kinds = rewritten(shuffled)
    assert kinds == {aten.where.self}
    for found, expected in zip(module(*IMAGES), shuffled(*IMAGES), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("bounds", "offsets"),
    [
        (paper_groups(11), PAPER_OFFSETS),
        ((0, 2, 4, 6, 8), RELEASED_OFFSETS),  # the last three channels become zero
        (paper_groups(11), ((1, 1), (-1, 1), (0, 1), (-1, -1))),
    ],
    ids=["paper", "released", "aslant"],
)
def test_shifted_pixels_are_a_convolution(bounds, offsets):
    def function(a, b):
        return a + pixel_shift(b, bounds, offsets)

    module, kinds = rewritten(function)
    assert kinds == {aten.conv2d.default, aten.add.Tensor}
    assert torch.equal(module(*IMAGES), function(*IMAGES))


@pytest.mark.parametrize(
    "function",
    [
        lambda a, b: torch.cat([a[:, :8], b[:, 7:10]], 1),  # the second's own channels elsewhere
        lambda a, b: torch.cat([a[:, :8], b[:, 8:], b[:, 8:]], 1),
        lambda a, b: torch.cat([a[:, :8], b[:, 8:10]], 1),
        lambda a, b: torch.cat([a, b], 1),
        lambda a, b: torch.cat([a[:, :, :3], b[:, :, 3:]], 2),
        lambda a, b: torch.cat([F.pad(a[:, :5], (2, -2, 0, 0)), F.pad(a[:, 5:], (1, -1, 0, 0))], 1),
        lambda a, b: torch.cat([F.pad(a[:, :5], (1, -1, 0, 0)), F.pad(b[:, 5:], (1, -1, 0, 0))], 1),
        lambda a, b: torch.cat([F.pad(a[:, 5:], (1, -1, 0, 0)), F.pad(a[:, :5], (1, -1, 0, 0))], 1),
        lambda a, b: torch.cat([F.pad(a[:, :5], (1, 0, 0, 0)), F.pad(a[:, 5:], (1, 0, 0, 0))], 1),
        lambda a, b: torch.cat([F.pad(a[:, :5], (1, -1), value=2.0), F.pad(a[:, 5:], (1, -1), value=2.0)], 1),
    ],
)
def test_what_is_no_exchange_stays(function):
    module, kinds = rewritten(function)
    assert aten.cat.default in kinds
    assert torch.equal(module(*IMAGES), function(*IMAGES))


def test_masks_become_convolutions_of_each_channel_for_onnx_runtime():
    runtime = pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    mask = np.arange(11) < 8
    other = rng.random((1, 1, 5, 7)) < 0.5  # of pixels: stays as it is
    a, b = (rng.normal(size=(1, 11, 5, 7)).astype("f4") for _ in range(2))
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 11, 5, 7]) for name in ("a", "b", "c", "d")
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Where", ["channels", "a", "b"], ["c"]),
            helper.make_node("Where", ["pixels", "a", "b"], ["d"]),
        ],
        "masks",
        values[:2],
        values[2:],
        [
            numpy_helper.from_array(mask.reshape(1, -1, 1, 1), "channels"),
            numpy_helper.from_array(other, "pixels"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = runtime.InferenceSession(
        masks_as_convolutions(model.SerializeToString()), providers=["CPUExecutionProvider"]
    )
    chosen, mixed = session.run(None, {"a": a, "b": b})
    np.testing.assert_array_equal(chosen, np.concatenate([a[:, :8], b[:, 8:]], 1))
    np.testing.assert_array_equal(mixed, np.where(other, a, b))
