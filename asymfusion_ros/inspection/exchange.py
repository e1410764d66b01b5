"""Where the modalities exchange features, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from asymfusion_ros.inspection.stages import Stage, block_of
from asymfusion_ros.inspection.trace import Visit
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.fusion import Fusion

PIXELS_EXCHANGED = ("none", "shuffle", "shift", "skip", "asymmetric")  # neither parameters nor multiplications


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
    if config.fusion == "none" or len(config.modalities) == 1:
        return []
    modules = dict(network.named_modules())
    found = []
    for name, stage in at.items():
        fusion = modules[name]
        if not isinstance(fusion, Fusion):
            continue
        output = visits.get(name, Visit()).output
        shape = output[1:] if output is not None and len(output) == 4 else (None, None, None)
        inside = (visit.flops for other, visit in visits.items() if f"{other}.".startswith(f"{name}."))
        found.append(
            Site(
                block_of(name, modules) or name,
                stage.label,
                *shape[:1],
                fusion.kept if getattr(fusion, "shuffles", False) else None,
                *shape[1:],
                additions(fusion, config, shape) if None not in shape else None,
                sum(inside),
            )
        )
    return found


def additions(fusion: Fusion, config: NetworkConfig, shape: Sequence[int]) -> int | None:
    """Arithmetic of one fusion on one frame of all modalities, C x H x W features each.

    The shift and the skip add one number to each element that is shifted, at each modality that receives;
    exchanging channels copies and costs none. Where several modalities send, taking the mean of n costs n an
    element (n - 1 additions and the division), for shifted and exchanged channels alike; so does `average`,
    of all modalities once. None for methods with layers of their own, which torch counts.
    """
    channels, height, width = shape
    present = tuple(range(len(config.modalities)))
    if config.fusion == "average":
        return channels * height * width * (len(present) if config.route is None else 2)
    if config.fusion not in PIXELS_EXCHANGED:
        return None
    an_element = 0
    for places in fusion.senders(present):
        mean = len(places) if len(places) > 1 else 0
        if places and fusion.shuffles:
            an_element += 2 * mean * (channels - fusion.kept)
        if places and fusion.adds:
            an_element += (1 + mean) * (fusion.bounds[-1] - fusion.bounds[0])
    return an_element * height * width
