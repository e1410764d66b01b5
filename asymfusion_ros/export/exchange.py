"""What fusion exchanges, as operations that runtimes are fast at: no slices that are moved and joined again.

Slices of channels are copies where a runtime keeps channels last, and OpenVINO makes them element by element:
the exchange took 18 to 20 % of the network's time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

aten = torch.ops.aten

Shape = tuple[int, ...]
CONSTANT_PADDING = ((), ("constant",), ("constant", None))  # pad's arguments after the sides: zeros come in


class Part(NamedTuple):
    """Channels ``start`` to ``end`` of ``whole``."""

    whole: fx.Node
    start: int
    end: int


def plain_exchanges(root: nn.Module, graph: fx.Graph, shapes: Mapping[fx.Node, Shape]) -> None:
    """Rewrites ``graph``, whose constants become buffers of ``root``, to compute the same, bit for bit.

    Shuffled channels (Eq. 2), a join of some channels of one tensor and the others of another, become a
    choice between the two by a mask. Shifted pixels (Eq. 3), a join of moved groups of channels, become a
    convolution of each channel with a kernel of zeros and a one. ``shapes``: of the graph's nodes.
    """
    known = dict(shapes)
    for node in list(graph.nodes):
        if node.target is not aten.cat.default or node.args[1:] != (1,):
            continue
        target: Any
        inputs: list[Any]
        if (shift := _shift(node.args[0], known)) is not None:
            source, kernels = shift
            target, inputs = aten.conv2d.default, [source, kernels]
            settings: tuple[Any, ...] = (None, [1, 1], [1, 1], [1, 1], len(kernels))
        elif (shuffle := _shuffle(node.args[0], known)) is not None:
            own, other, mask = shuffle
            target, inputs, settings = aten.where.self, [mask, own, other], ()
        else:
            continue
        with graph.inserting_before(node):
            given: list[Any] = [
                _constant(root, graph, one) if isinstance(one, Tensor) else one for one in inputs
            ]
            made = graph.call_function(target, (*given, *settings))
        known[made] = known[node]
        node.replace_all_uses_with(made)


def _shuffle(
    joined: Sequence[fx.Node], shapes: Mapping[fx.Node, Shape]
) -> tuple[fx.Node, fx.Node, Tensor] | None:
    """The two tensors, and where (1 x C x 1 x 1) the first is meant."""
    first, *others = (_channels(one, shapes) for one in joined)
    if first is None or len(others) != 1 or (second := others[0]) is None:
        return None
    shape = shapes[first.whole]
    if shapes[second.whole] != shape or (first.start, second.start, second.end) != (0, first.end, shape[1]):
        return None
    return first.whole, second.whole, (torch.arange(shape[1]) < first.end).view(1, -1, 1, 1)


def _shift(joined: Sequence[fx.Node], shapes: Mapping[fx.Node, Shape]) -> tuple[fx.Node, Tensor] | None:
    """The tensor that is shifted, and the kernels, C x 1 x 3 x 3."""
    groups: list[tuple[Part, tuple[int, int] | None]] = []
    for one in joined:
        moved = _moved(one, shapes)
        if moved is None or moved[0].start != (groups[-1][0].end if groups else 0):
            return None
        groups.append(moved)
    source = groups[0][0].whole
    kernels = torch.zeros(shapes[source][1], 1, 3, 3)
    if groups[-1][0].end != len(kernels) or any(part.whole is not source for part, _ in groups):
        return None
    for part, offset in groups:
        if offset is not None:
            kernels[part.start : part.end, 0, 1 + offset[0], 1 + offset[1]] = 1
    return source, kernels


def _moved(node: fx.Node, shapes: Mapping[fx.Node, Shape]) -> tuple[Part, tuple[int, int] | None] | None:
    """A group of a shift, and the (dh, dw) that its pixels are read from; None there where all are zero."""
    if node.target not in (aten.pad.default, aten.zeros_like.default):
        return None
    part = _channels(node.args[0], shapes)
    if part is None or node.target is aten.zeros_like.default:
        return part and (part, None)
    sides: Any = node.args[1]
    if len(sides) != 4 or node.args[2:] not in CONSTANT_PADDING:
        return None
    left, right, top, bottom = sides
    if left + right or top + bottom or max(abs(left), abs(top)) > 1:
        return None
    return part, (-top, -left)


def _channels(node: Any, shapes: Mapping[fx.Node, Shape]) -> Part | None:
    """A slice of channels."""
    if node.target is not aten.slice.Tensor or node.args[0] not in shapes or len(node.args) != 4:
        return None
    whole, dimension, start, end = node.args
    return Part(whole, start, min(end, shapes[whole][1])) if dimension == 1 else None


def _constant(root: nn.Module, graph: fx.Graph, value: Tensor) -> fx.Node:
    name = f"exchange_{sum(1 for _ in root.buffers())}"
    root.register_buffer(name, value)
    return graph.get_attr(name)
