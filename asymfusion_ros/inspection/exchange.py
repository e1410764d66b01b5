"""Where the modalities exchange features, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from asymfusion_ros.inspection.stages import Stage, block_of
from asymfusion_ros.inspection.trace import Visit
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.fusion.base import Fusion


@dataclass(frozen=True)
class Site:
    """One fusion.

    kept: channels that a shuffle leaves with their modality, None without a shuffle. height, width: of the
    features at the traced size. additions: of one frame, None for a method whose work torch counts (flops).
    """

    block: str
    stage: str
    channels: int | None
    kept: int | None
    height: int | None
    width: int | None
    additions: int | None
    flops: int


def sites(
    network: nn.Module, config: NetworkConfig, visits: Mapping[str, Visit], at: Mapping[str, Stage]
) -> list[Site]:
    """Every place of exchange in the order in which they run; none where nothing is exchanged.

    ``at``: the stages by name of module.
    """
    if len(config.modalities) == 1:
        return []
    modules = dict(network.named_modules())
    found = []
    for name, stage in at.items():
        fusion = modules[name]
        if not isinstance(fusion, Fusion):
            continue
        output = visits.get(name, Visit()).output
        shape = output[1:] if output is not None and len(output) == 4 else None
        channels, height, width = shape or (None, None, None)
        found.append(
            Site(
                block=block_of(name, modules) or name,
                stage=stage.label,
                channels=channels,
                kept=fusion.kept,
                height=height,
                width=width,
                additions=None if shape is None else additions(fusion, config, shape),
                flops=sum(v.flops for other, v in visits.items() if f"{other}.".startswith(f"{name}.")),
            )
        )
    return found


def additions(fusion: Fusion, config: NetworkConfig, shape: Sequence[int]) -> int | None:
    """Arithmetic of one fusion on one frame of all modalities, C x H x W features each; None for methods
    with layers of their own, which torch counts."""
    channels, height, width = shape
    others = len(config.modalities) - 1
    # how many each modality that receives at all hears
    senders = [others] * len(config.modalities) if config.route is None else [1]
    counts = [fusion.additions(channels, number) for number in senders]
    return None if None in counts else sum(count or 0 for count in counts) * height * width
