"""A network's graph with each modality's rows as tensors of their own, for compilers.

The network takes the modalities stacked along the batch, which is the fast way in eager torch. A compiler
does better without: one modality's norm then is a constant a channel that it folds into the convolution
before it, and what fusion exchanges is a choice of tensors instead of a copy. The weights stay shared.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from asymfusion_ros.export.exchange import plain_exchanges
from asymfusion_ros.network import SegmentationNetwork

aten = torch.ops.aten

# What is computed for each sample of a batch on its own.
EACH_SAMPLE = {
    aten.conv2d.default,
    aten.conv_transpose2d.input,
    aten.instance_norm.default,
    aten.tanh.default,
    aten.relu.default,
    aten.relu6.default,
    aten.hardtanh.default,
    aten.leaky_relu.default,
    aten.clamp.default,
    aten.sigmoid.default,
    aten.add.Tensor,
    aten.sub.Tensor,
    aten.mul.Tensor,
    aten.div.Tensor,
    aten.addcmul.default,
    aten.max_pool2d.default,
    aten.avg_pool2d.default,
    aten.adaptive_avg_pool2d.default,
    aten.upsample_bilinear2d.vec,
    aten.pad.default,
    aten.zeros_like.default,
    aten.contiguous.default,
    operator.getitem,
}
CONVOLUTIONS = (aten.conv2d.default, aten.conv_transpose2d.input)
# The same where the dimension that they work along is not the batch: operator -> place of that argument.
ALONG = {aten.slice.Tensor: 1, aten.cat.default: 1, aten.softmax.int: 1, aten.chunk.default: 2}
# In evaluation they are the identity.
DROPOUTS = {aten.dropout.default, aten.feature_dropout.default}
IN_PLACE = {
    aten.relu_.default: aten.relu.default,
    aten.relu6_.default: aten.relu6.default,
    aten.hardtanh_.default: aten.hardtanh.default,
    aten.leaky_relu_.default: aten.leaky_relu.default,
    aten.add_.Tensor: aten.add.Tensor,
    aten.mul_.Tensor: aten.mul.Tensor,
}
FIRST_DIMENSION = (0, -4)  # of N x C x H x W


class Rows(list[fx.Node]):
    """What was a stack: a node of 1 x C x H x W for each modality."""


class Graph(nn.Module):
    """Tensors in, tensors out, as graphs are: the images of ``available`` -> the ensemble's logits, and
    where ``branches`` is set, those of each available modality after them."""

    def __init__(
        self, network: SegmentationNetwork, available: Sequence[int], branches: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.available = tuple(available)
        self.branches = branches

    def forward(self, *images: Tensor) -> tuple[Tensor, ...]:
        """See the class."""
        given = dict(zip(self.available, images))
        output = self.network([given.get(i) for i in range(len(self.network.config.modalities))])
        branches = [logits for logits in output.logits if logits is not None] if self.branches else []
        return (output.ensemble, *branches)


def unstacked(model: nn.Module, images: Sequence[Tensor]) -> fx.GraphModule:
    """The graph of ``model`` (a Graph whose norms are folded) for images of these shapes, 1 x 3 x h x w each,
    without stacks."""
    with torch.no_grad():
        traced = torch.export.export(model, tuple(images)).module()
    assert isinstance(traced, fx.GraphModule)
    return _Unstacking(traced).run()


class _Unstacking:
    """Copies a traced graph node by node; a node's value is a node of the copy, Rows, or a list of nodes."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self._traced = traced
        self._graph = fx.Graph()
        self._values: dict[fx.Node, Any] = {}
        self._constants: dict[fx.Node, Tensor] = {}
        self._shapes: dict[fx.Node, tuple[int, ...]] = {}

    def run(self) -> fx.GraphModule:
        for node in self._traced.graph.nodes:
            if node.op == "call_function":
                self._values[node] = self._call(node)
            elif node.op != "call_module":  # the check of the images' sizes
                self._values[node] = self._copy(node)
        _merge_classifiers(self._graph)
        plain_exchanges(self._traced, self._graph, self._shapes)
        module = fx.GraphModule(self._traced, self._graph)
        module.graph.eliminate_dead_code()
        module.recompile()
        return module

    def _copy(self, node: fx.Node) -> fx.Node:
        """Of a placeholder, a parameter or the output."""
        copy = self._graph.node_copy(node, lambda one: self._joined(self._values[one]))
        if node.op == "get_attr":
            self._constants[copy] = _attribute(self._traced, str(node.target))
            self._shapes[copy] = tuple(self._constants[copy].shape)
        else:
            self._shapes[copy] = _shape(node)
        return copy

    def _call(self, node: fx.Node) -> Any:
        target: Any = node.target
        if target is aten._assert_tensor_metadata.default:
            return None
        args: Any = fx.map_arg(node.args, lambda one: self._values[one])
        if target is operator.getitem and isinstance(args[0], list) and not isinstance(args[0], Rows):
            return args[0][args[1]]  # of a stack that was split into its rows
        if target in DROPOUTS or (target is aten.to.dtype and _same_type(node)):
            return args[0]
        if target is aten.chunk.default and _dimension(node, 2) in FIRST_DIMENSION:
            whole = args[0] if isinstance(args[0], Rows) else [args[0]]
            if args[1] == len(whole):
                return list(whole)
        if (
            target is aten.cat.default
            and _dimension(node, 1) in FIRST_DIMENSION
            and _single_rows(node.args[0])
        ):
            return Rows(args[0])
        functional = IN_PLACE.get(target, target)
        value = self._compute(node, functional, args, fx.map_arg(node.kwargs, lambda one: self._values[one]))
        if functional is not target:
            # Whoever reads the overwritten tensor later reads this.
            self._values[node.all_input_nodes[0]] = value
        return value

    def _compute(self, node: fx.Node, target: Any, args: Any, kwargs: Any) -> Any:
        rows = [one for one in _flat(args) if isinstance(one, Rows)]
        if rows and self._for_each_row(node, target, args):
            shape = (1, *_shape(node)[1:])
            return Rows(self._emit(shape, target, _pick(args, i), kwargs) for i in range(len(rows[0])))
        args = self._joined_within(args)
        if all(one in self._constants for one in _flat(args) if isinstance(one, fx.Node)):
            return self._constant(target(*self._known(args), **kwargs))
        return self._emit(_shape(node), target, args, kwargs)

    def _for_each_row(self, node: fx.Node, target: Any, args: Any) -> bool:
        if target in ALONG:
            if _dimension(node, ALONG[target]) in FIRST_DIMENSION:
                return False
        elif target not in EACH_SAMPLE:
            return False
        # A convolution's weights have no batch; any other tensor must be a stack too, or the same for all.
        others = [] if target in CONVOLUTIONS else [one for one in _flat(args) if isinstance(one, fx.Node)]
        return len({len(one) for one in _flat(args) if isinstance(one, Rows)}) == 1 and all(
            self._shapes[one][:-3] in ((), (1,)) for one in others
        )

    def _emit(self, shape: tuple[int, ...], target: Any, args: Any, kwargs: Any) -> fx.Node:
        node = self._graph.call_function(target, args, kwargs)
        self._shapes[node] = shape
        return node

    def _constant(self, value: Tensor) -> fx.Node:
        """A tensor that no image changes, as a buffer."""
        name = f"constant_{len(self._constants)}"
        self._traced.register_buffer(name, value)
        node = self._graph.get_attr(name)
        self._constants[node] = value
        self._shapes[node] = tuple(value.shape)
        return node

    def _joined(self, value: Any) -> Any:
        """Rows as the stack again, for what is not computed row by row."""
        if not isinstance(value, Rows):
            return value
        return self._graph.call_function(aten.cat.default, (list(value), 0))

    def _joined_within(self, arguments: Any) -> Any:
        if isinstance(arguments, Rows):
            return self._joined(arguments)
        if isinstance(arguments, (list, tuple)):
            return type(arguments)(self._joined_within(one) for one in arguments)
        if isinstance(arguments, dict):
            return {key: self._joined_within(one) for key, one in arguments.items()}
        return arguments

    def _known(self, arguments: Any) -> Any:
        """The arguments with constants in their nodes' places."""
        return fx.map_arg(arguments, lambda one: self._constants[one])


def _merge_classifiers(graph: fx.Graph) -> None:
    """The ensemble is a weighted sum of what the same convolution gives for each modality. As its weights sum
    to one, it is that convolution of the features' weighted sum, computed once."""
    output: Any = next(node for node in graph.nodes if node.op == "output").args[0]
    ensemble = output[0]
    if ensemble.target is not aten.sum.dim_IntList or ensemble.args[0].target is not aten.stack.default:
        return
    terms = ensemble.args[0].args[0]
    classified = [term.args[0] for term in terms]
    if any(term.target is not aten.mul.Tensor for term in terms) or any(
        one.target is not aten.conv2d.default or one.args[1:] != classified[0].args[1:] for one in classified
    ):
        return
    with graph.inserting_before(ensemble):
        weighted = [
            graph.call_function(aten.mul.Tensor, (one.args[0], term.args[1]))
            for one, term in zip(classified, terms)
        ]
        total = weighted[0]
        for one in weighted[1:]:
            total = graph.call_function(aten.add.Tensor, (total, one))
        merged = graph.call_function(aten.conv2d.default, (total, *classified[0].args[1:]))
    ensemble.replace_all_uses_with(merged)


def _flat(arguments: Any) -> Iterator[Any]:
    """What arguments hold, however nested; Rows are one thing."""
    if isinstance(arguments, (list, tuple)) and not isinstance(arguments, Rows):
        for one in arguments:
            yield from _flat(one)
    else:
        yield arguments


def _pick(arguments: Any, row: int) -> Any:
    """The arguments with one row in the place of Rows."""
    if isinstance(arguments, Rows):
        return arguments[row]
    if isinstance(arguments, (list, tuple)):
        return type(arguments)(_pick(one, row) for one in arguments)
    return arguments


def _dimension(node: fx.Node, place: int) -> int:
    given = node.args[place] if len(node.args) > place else node.kwargs.get("dim", 0)
    assert isinstance(given, int)
    return given


def _single_rows(nodes: Any) -> bool:
    """Whether all of these have a batch of one."""
    return all(len(_shape(one)) == 4 and _shape(one)[0] == 1 for one in nodes)


def _shape(node: fx.Node) -> tuple[int, ...]:
    value = node.meta.get("val")
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _same_type(node: fx.Node) -> bool:
    source = node.args[0]
    return isinstance(source, fx.Node) and node.args[1] == source.meta["val"].dtype


def _attribute(module: nn.Module, name: str) -> Tensor:
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part)
    tensor: Tensor = found
    return tensor
