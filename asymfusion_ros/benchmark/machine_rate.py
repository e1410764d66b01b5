"""What the machine can do at best, measured in the same run, and what the network asks of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from asymfusion_ros.benchmark.stages import clock
from asymfusion_ros.engine.precision import PRECISIONS
from asymfusion_ros.inspection.trace import on_meta
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.views import Views

REPEATS = 5
SIDE = 1024  # of the matrices
# A convolution as decoders have: 3 x 3, from so many channels to as many, at this size.
CHANNELS, GRID = 128, (60, 80)
COPIED = 48 << 20  # bytes; no cache holds them
ONE_VIEW = Views()


@dataclass(frozen=True)
class MachineRate:
    """The best of several tries. matrix, convolution: GFLOP/s of a product of large matrices and of a 3 x 3
    convolution in a precision; copy: GB/s, each byte counted once read and once written."""

    precision: str
    matrix: float
    convolution: float
    copy: float

    @property
    def compute(self) -> float:
        """GFLOP/s: the faster of both."""
        return max(self.matrix, self.convolution)


@dataclass(frozen=True)
class Work:
    """Of one frame through the network. gflop: of its convolutions and products, two for a multiply-add.
    elements: what its convolutions read and write where each is on its own, in thousand millions."""

    gflop: float
    elements: float


def machine_rate(device: torch.device, precision: str) -> MachineRate:
    """Takes about a second on a small CPU."""
    dtype = PRECISIONS[precision]
    with torch.inference_mode():
        a, b = (torch.randn(SIDE, SIDE, device=device).to(dtype) for _ in range(2))
        x = torch.randn(1, CHANNELS, *GRID, device=device)
        weight = torch.randn(CHANNELS, CHANNELS, 3, 3, device=device)
        x, weight = (one.to(dtype, memory_format=torch.channels_last) for one in (x, weight))
        source = torch.ones(COPIED, dtype=torch.uint8, device=device)
        target = torch.ones_like(source)
        pixels = GRID[0] * GRID[1]
        return MachineRate(
            precision,
            matrix=2e-6 * SIDE**3 / _least(device, lambda: a @ b),
            convolution=2e-6 * 9 * CHANNELS**2 * pixels / _least(device, lambda: _conv(x, weight)),
            copy=2e-6 * COPIED / _least(device, lambda: target.copy_(source)),
        )


def network_work(
    config: NetworkConfig, size: tuple[int, int], available: Sequence[str], views: Views = ONE_VIEW
) -> Work:
    """size: (height, width) of the inputs. available: the modalities that are there. views: each of them
    counts."""
    elements = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal elements
        elements += inputs[0].numel() + output.numel() + sum(one.numel() for one in module.parameters())

    network = on_meta(config)
    network.views = views
    given = [
        torch.zeros(1, 3, *size, device="meta") if name in available else None for name in config.modalities
    ]
    counter = FlopCounterMode(display=False)
    with ExitStack() as hooks, torch.no_grad(), counter:
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                hooks.callback(module.register_forward_hook(count).remove)
        network(given)
    return Work(counter.get_total_flops() / 1e9, elements / 1e9)


def shares(work: Work, rate: MachineRate, milliseconds: float) -> dict[str, float]:
    """Of the machine's rates that the network reaches in that time, 0 to 1."""
    size = PRECISIONS[rate.precision].itemsize
    return {
        "gflop": round(work.gflop, 3),
        "gflops": round(1e3 * work.gflop / milliseconds, 2),
        "of_matrix_rate": round(1e3 * work.gflop / milliseconds / rate.compute, 4),
        "of_copy_bandwidth": round(1e3 * size * work.elements / milliseconds / rate.copy, 4),
    }


def _conv(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv2d(x, weight, padding=1)


def _least(device: torch.device, run: Callable[[], object]) -> float:
    """Milliseconds of the fastest of several calls."""
    run()
    mark, elapsed = clock(device)
    mark()
    for _ in range(REPEATS):
        run()
        mark()
    return min(elapsed())
