"""Where in an ONNX graph a tensor is."""

from __future__ import annotations

from onnx import ModelProto


def convolution_depths(model: ModelProto) -> dict[str, int]:
    """Of each tensor that a node makes: how many convolutions lie on the way from an image to it, at most."""
    depths: dict[str, int] = {}
    for node in model.graph.node:
        before = max((depths.get(name, 0) for name in node.input), default=0)
        depths |= dict.fromkeys(node.output, before + (node.op_type == "Conv"))
    return depths


def after_the_network(model: ModelProto) -> list[str]:
    """The names of the nodes from a softmax on that no convolution follows: what is made of probabilities."""
    followed: set[str] = set()  # tensors that a convolution depends on
    for node in reversed(model.graph.node):
        if node.op_type == "Conv" or followed.intersection(node.output):
            followed.update(node.input)
    made: set[str] = set()
    found = []
    for node in model.graph.node:
        if followed.isdisjoint(node.output) and (node.op_type == "Softmax" or made.intersection(node.input)):
            made.update(node.output)
            found.append(node.name)
    return found
