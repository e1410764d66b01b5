"""Where the modalities exchange features, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from asymfusion_ros.inspection.stages import Stage, block_of
from asymfusion_ros.inspection.trace import Visit, is_fusion
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.fusion.asymmetric import Fusion


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
        if not is_fusion(name):
            continue
        fusion = modules[name]
        output = visits.get(name, Visit()).output
        shape = output[1:] if output is not None and len(output) == 4 else None
        channels, height, width = shape or (None, None, None)
        found.append(
            Site(
                block=block_of(name, modules) or name,
                stage=stage.label,
                channels=channels,
                kept=fusion.kept if isinstance(fusion, Fusion) and fusion.shuffles else None,
                height=height,
                width=width,
                additions=None if shape is None else additions(fusion, config, shape),
                flops=sum(v.flops for other, v in visits.items() if f"{other}.".startswith(f"{name}.")),
            )
        )
    return found


def additions(fusion: nn.Module, config: NetworkConfig, shape: Sequence[int]) -> int | None:
    """Arithmetic of one fusion on one frame of all modalities, C x H x W features each.

    The shift and the skip add one number to each element that is shifted, at each modality that receives;
    exchanging channels copies and costs none. `average` adds and halves: two an element. Where n > 1
    modalities send, their mean costs n an element more (n - 1 additions and the division), for shifted and
    exchanged channels alike. None for methods with layers of their own, which torch counts.
    """
    channels, height, width = shape
    an_element = 0
    for senders in _senders(config):
        mean = senders if senders > 1 else 0
        if senders == 0:
            continue
        if config.fusion == "average":
            an_element += (2 + mean) * channels
        elif not isinstance(fusion, Fusion):
            return None
        else:
            if fusion.shuffles:
                an_element += 2 * mean * (channels - fusion.kept)
            if fusion.adds:
                an_element += (1 + mean) * (fusion.bounds[-1] - fusion.bounds[0])
    return an_element * height * width


def _senders(config: NetworkConfig) -> list[int]:
    """How many others each modality receives features from, with all of them present."""
    count = len(config.modalities)
    if config.route is None:
        return [count - 1] * count
    return [int(modality == config.route[1]) for modality in range(count)]
