"""The stages of a network: runs of blocks at one resolution, whatever the encoder calls them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from asymfusion_ros.inspection.trace import Visit, is_fusion
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d


@dataclass(frozen=True)
class Stage:
    """Consecutive blocks of one container whose outputs have one size.

    name: as in `layer3 0-22`, or a layer's own name where no block holds it. stride: input pixels to one of
    the output's, a power of two; 0 where nothing ran.
    """

    name: str
    stride: int
    blocks: tuple[str, ...]

    @property
    def label(self) -> str:
        """As the tables name it."""
        return f"{self.name} at 1/{self.stride}" if self.stride else self.name


def block_of(name: str, modules: Mapping[str, nn.Module]) -> str | None:
    """The block that holds a module: the nearest one around it with a place for a fusion, used or not."""
    steps = name.split(".")
    for end in range(len(steps) - 1, 0, -1):
        around = ".".join(steps[:end])
        if hasattr(modules[around], "fusion"):
            return around
    return None


def stages(network: nn.Module, visits: Mapping[str, Visit], size: tuple[int, int]) -> dict[str, Stage]:
    """The stage of each norm and fusion by its name, in the order in which they run.

    ``visits`` come from an input of ``size``. A block is where its output is: what runs in it before it
    downsamples counts to the stage that it opens.
    """
    modules = dict(network.named_modules())
    order = [*visits, *(name for name in modules if name not in visits)]
    members = [name for name in order if isinstance(modules[name], PrivateBatchNorm2d) or is_fusion(name)]
    runs: list[tuple[tuple[str, int], list[str], list[str]]] = []  # (container, stride), blocks, members
    for member in members:
        block = block_of(member, modules)
        place = block or member
        key = (_container(place) if block else member, _stride(visits, place, size))
        if not runs or runs[-1][0] != key:
            runs.append((key, [], []))
        if not runs[-1][1] or runs[-1][1][-1] != place:
            runs[-1][1].append(place)
        runs[-1][2].append(member)
    found = {}
    for (container, stride), blocks, names in runs:
        ends = [block.removeprefix(f"{container}.") for block in (blocks[0], blocks[-1])]
        title = _short(container)
        if blocks[0] != container:
            title += f" {ends[0]}" if ends[0] == ends[1] else f" {ends[0]}-{ends[1]}"
        stage = Stage(title.strip(), stride, tuple(blocks))
        found.update(dict.fromkeys(names, stage))
    return found


def _container(block: str) -> str:
    return block.rpartition(".")[0]


def _short(name: str) -> str:
    return name.removeprefix("encoder.") if name != "encoder" else ""


def _stride(visits: Mapping[str, Visit], name: str, size: tuple[int, int]) -> int:
    output = visits.get(name, Visit()).output
    if output is None or len(output) != 4:
        return 0
    pixels = math.prod(size) / math.prod(output[-2:])
    return 2 ** max(round(math.log2(pixels) / 2), 0)
