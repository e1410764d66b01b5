"""How deep in an ONNX graph a tensor is."""

from __future__ import annotations

from onnx import ModelProto


def convolution_depths(model: ModelProto) -> dict[str, int]:
    """Of each tensor that a node makes: how many convolutions lie on the way from an image to it, at most."""
    depths: dict[str, int] = {}
    for node in model.graph.node:
        before = max((depths.get(name, 0) for name in node.input), default=0)
        depths |= dict.fromkeys(node.output, before + (node.op_type == "Conv"))
    return depths
