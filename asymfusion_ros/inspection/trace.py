"""One forward pass without data: each module's output shape and its FLOPs."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from asymfusion_ros.errors import UserError
from asymfusion_ros.network import NetworkConfig, SegmentationNetwork, build_network
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d
from asymfusion_ros.network.shapes import shapes_alone


@dataclass
class Visit:
    """A module in one forward pass.

    output: the shape of what it returned last, None where that is not a tensor; modalities that share the
    module are stacked along the first dimension. flops: its own, without those of modules inside it.
    """

    output: tuple[int, ...] | None = None
    flops: int = 0


def on_meta(config: NetworkConfig) -> SegmentationNetwork:
    """The network with shapes and without numbers, in evaluation mode: however large, it takes no memory."""
    with shapes_alone():
        return build_network(config).eval()


def trace(network: SegmentationNetwork, size: tuple[int, int]) -> dict[str, Visit]:
    """Module name -> Visit, in the order of first calls, for one frame of all modalities at (height, width).

    ``network`` is one of `on_meta`. FLOPs are those of torch's FlopCounterMode: two for a multiply-add of a
    convolution or matrix product, none for norms, activations, pooling, resizing and additions. Raises
    UserError for a size that the network cannot take.
    """
    recorder = _Recorder()
    with ExitStack() as undo, torch.no_grad(), recorder.counter:
        for name, module in network.named_modules():
            before = module.register_forward_pre_hook(lambda _, __, name=name: recorder.begin(name))
            after = module.register_forward_hook(lambda _, __, output: recorder.end(output))
            undo.callback(before.remove)
            undo.callback(after.remove)
        try:
            network([torch.zeros(1, 3, *size, device="meta") for _ in network.config.modalities])
        except RuntimeError as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f"the network cannot take {size[0]} x {size[1]} pixels: {reason}") from error
    return recorder.visits


def is_fusion(name: str) -> bool:
    """Every block keeps its exchange of features, of whatever kind, under this name (None: it has none)."""
    return name.rpartition(".")[2] == "fusion"


class _Recorder:
    def __init__(self) -> None:
        self.counter = FlopCounterMode(display=False)
        self.visits: dict[str, Visit] = {}
        self.running: list[tuple[str, int, list[int]]] = []  # name, FLOPs before it, those inside it

    def begin(self, name: str) -> None:
        self.visits.setdefault(name, Visit())
        self.running.append((name, self.counter.get_total_flops(), []))

    def end(self, output: object) -> None:
        name, before, inside = self.running.pop()
        flops = self.counter.get_total_flops() - before
        visit = self.visits[name]
        visit.flops += flops - sum(inside)
        visit.output = tuple(output.shape) if isinstance(output, Tensor) else None
        if self.running:
            self.running[-1][2].append(flops)


def kind(module: nn.Module) -> str:
    """A module in a few words, as in `depthwise conv 5x5 /2`."""
    if isinstance(module, PrivateBatchNorm2d):
        return "private norm" if len(module.weight) > 1 else "norm"
    if not isinstance(module, nn.Conv2d):
        return type(module).__name__
    words = ["conv {}x{}".format(*module.kernel_size)]
    if module.groups > 1:
        words.insert(0, "depthwise" if module.groups == module.in_channels else f"{module.groups}-group")
    if module.stride[0] > 1:
        words.append(f"/{module.stride[0]}")
    if module.dilation[0] > 1:
        words.append(f"dilated {module.dilation[0]}")
    return " ".join(words)
