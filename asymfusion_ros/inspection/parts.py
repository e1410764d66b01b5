"""Parameters and FLOPs of a network's parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.inspection.trace import Visit, is_fusion, kind
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d


@dataclass(frozen=True)
class Layer:
    """A module with parameters or FLOPs of its own, or a fusion; both leave out what is inside it."""

    name: str
    part: str
    kind: str
    output: tuple[int, ...] | None
    parameters: int
    flops: int


@dataclass(frozen=True)
class Share:
    """Parameters of one kind in one part; ``modality`` None where all modalities use them."""

    part: str
    kind: str
    modality: str | None
    parameters: int

    @property
    def label(self) -> str:
        """As in `encoder norms, depth`."""
        name = f"{self.part} {self.kind}".strip()
        return name if self.modality is None else f"{name}, {self.modality}"


def layers(network: nn.Module, visits: Mapping[str, Visit]) -> list[Layer]:
    """In the order in which they run; those that never ran (no fusion with one modality, say) last."""
    modules = dict(network.named_modules())
    numbers = {name: sum(p.numel() for p in own) for name, own in _owners(network)}
    order = [*visits, *(name for name in modules if name not in visits)]
    found = []
    for name in order:
        visit, parameters = visits.get(name, Visit()), numbers.get(name, 0)
        if parameters or visit.flops or is_fusion(name):
            part = part_of(name)
            found.append(Layer(name, part, kind(modules[name]), visit.output, parameters, visit.flops))
    return found


def part_of(name: str) -> str:
    """``fusion`` for what lies in one; else the network's child that holds it (encoder, decoder, ...)."""
    steps = name.split(".")
    return "fusion" if "fusion" in steps else steps[0] or "network"


def owner_of(name: str, modules: Mapping[str, nn.Module], modalities: Sequence[str]) -> str | None:
    """The modality that alone has this module: individual ones are in a dict by the modality's index."""
    steps = name.split(".")
    for i in range(1, len(steps)):
        if isinstance(modules[".".join(steps[:i])], nn.ModuleDict) and steps[i].isdigit():
            return modalities[int(steps[i])]
    return None


def parameters_by_part(network: nn.Module, modalities: Sequence[str]) -> list[Share]:
    """Every parameter once. Norms apart from the rest of their part; private ones for each modality."""
    modules = dict(network.named_modules())
    counts: dict[tuple[str, str, str | None], int] = {("fusion", "", None): 0}
    for name, own in _owners(network):
        module, part, number = modules[name], part_of(name), sum(p.numel() for p in own)
        owner = owner_of(name, modules, modalities)
        if part != "fusion" and isinstance(module, PrivateBatchNorm2d | _BatchNorm):
            rows = len(module.weight) if isinstance(module, PrivateBatchNorm2d) else 0
            owners: Sequence[str | None] = modalities if rows == len(modalities) else (owner,)
            for one in owners:
                key = (part, "norms", one)
                counts[key] = counts.get(key, 0) + number // len(owners)
        else:
            key = (part, "convolutions" if part == "encoder" else "", owner)
            counts[key] = counts.get(key, 0) + number
    if any(part == "fusion" and number for (part, _, _), number in counts.items()):
        counts = {key: number for key, number in counts.items() if key != ("fusion", "", None) or number}
    order = part_order(network)
    return sorted(
        (Share(*key, number) for key, number in counts.items()), key=lambda share: order.index(share.part)
    )


def flops_by_part(found: Sequence[Layer], network: nn.Module) -> dict[str, int]:
    """One frame of all modalities; every FLOP once."""
    counts = {part: sum(layer.flops for layer in found if layer.part == part) for part in part_order(network)}
    return {part: number for part, number in counts.items() if number or part == "fusion"}


def part_order(network: nn.Module) -> list[str]:
    """Data's way through the network, the fusion after the encoder that it sits in."""
    children = [name for name, _ in network.named_children()]
    place = children.index("encoder") + 1 if "encoder" in children else 0
    return [*children[:place], "fusion", *children[place:], "network"]


def one_modality(config: NetworkConfig) -> NetworkConfig:
    """The same network for its first modality alone."""
    first = config.modalities[:1]
    try:
        return replace(config, modalities=first, direction="bidirectional")
    except ConfigError:  # a fusion with layers of its own refuses one modality
        return replace(config, modalities=first, direction="bidirectional", fusion="none")


def _owners(network: nn.Module) -> Iterator[tuple[str, list[nn.Parameter]]]:
    """Modules with parameters of their own; a parameter that two share counts at the first."""
    seen: set[int] = set()
    for name, module in network.named_modules():
        own = [p for p in module.parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        if own:
            yield name, own
