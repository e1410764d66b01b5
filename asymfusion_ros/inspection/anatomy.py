"""All that can be said about a network from its description and its weights, in one value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from asymfusion_ros.inspection.exchange import Site, sites
from asymfusion_ros.inspection.norms import DEFINITIONS, Group, NormLayer, by_stage, norm_layers
from asymfusion_ros.inspection.parts import (
    Layer,
    Share,
    flops_by_part,
    layers,
    one_modality,
    parameters_by_part,
)
from asymfusion_ros.inspection.stages import stages
from asymfusion_ros.inspection.trace import on_meta, trace
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.ensemble import Ensemble


@dataclass(frozen=True)
class Anatomy:
    """size: (height, width) that FLOPs and shapes are of. alone: parameters and FLOPs of the same network for
    its first modality. alpha, weights: of each modality, empty without an ensemble."""

    config: NetworkConfig
    size: tuple[int, int]
    layers: list[Layer]
    shares: list[Share]
    flops: dict[str, int]
    alone_parameters: int
    alone_flops: int
    sites: list[Site]
    alpha: dict[str, float]
    weights: dict[str, float]
    norms: list[NormLayer]
    norm_groups: list[Group]

    @property
    def parameters(self) -> int:
        """Of the whole network."""
        return sum(share.parameters for share in self.shares)

    @property
    def total_flops(self) -> int:
        """Of a frame through the whole network."""
        return sum(self.flops.values())

    @property
    def additions(self) -> int:
        """Of all fusions, those that torch does not count."""
        return sum(site.additions or 0 for site in self.sites)

    @property
    def fusion_share(self) -> float:
        """Of the network's FLOPs, 0 to 1: the fusion's, its additions among them."""
        return (self.flops.get("fusion", 0) + self.additions) / (self.total_flops + self.additions)

    def to_dict(self) -> dict[str, Any]:
        """JSON's kinds alone."""
        return {
            "size": list(self.size),
            "parameters": {
                "parts": [asdict(share) for share in self.shares],
                "total": self.parameters,
                "one_modality": self.alone_parameters,
            },
            "flops": {
                "parts": self.flops,
                "total": self.total_flops,
                "one_modality": self.alone_flops,
                "fusion_additions": self.additions,
                "fusion_share": self.fusion_share,
            },
            "fusions": [asdict(site) for site in self.sites],
            "ensemble": {"alpha": self.alpha, "weights": self.weights},
            "norm_distances": {
                "definitions": DEFINITIONS,
                "layers": [
                    {
                        "name": norm.name,
                        "stage": norm.stage.label,
                        "channels": norm.channels,
                        "fused": norm.fused,
                        **asdict(norm.distance),
                    }
                    for norm in self.norms
                ],
                "groups": [
                    {"name": group.name, "layers": group.layers, **asdict(group.distance)}
                    for group in self.norm_groups
                ],
            },
            "layers": [asdict(layer) for layer in self.layers],
        }


def examine(config: NetworkConfig, tensors: Mapping[str, Tensor], size: tuple[int, int]) -> Anatomy:
    """``tensors``: a state dict of the network that ``config`` describes. size: (height, width).

    Raises UserError for a size that the network cannot take.
    """
    network = on_meta(config)
    visits = trace(network, size)
    found = layers(network, visits)
    alone = on_meta(one_modality(config))
    alone_layers = layers(alone, trace(alone, size))
    at = stages(network, visits, size)
    exchanges = sites(network, config, visits, at)
    norms = norm_layers(network, tensors, at, exchanging=bool(exchanges))
    alpha, weights = _ensemble(network, tensors, config.modalities)
    return Anatomy(
        config=config,
        size=size,
        layers=found,
        shares=parameters_by_part(network, config.modalities),
        flops=flops_by_part(found, network),
        alone_parameters=sum(layer.parameters for layer in alone_layers),
        alone_flops=sum(layer.flops for layer in alone_layers),
        sites=exchanges,
        alpha=alpha,
        weights=weights,
        norms=norms,
        norm_groups=by_stage(norms) if norms else [],
    )


def _ensemble(
    network: nn.Module, tensors: Mapping[str, Tensor], modalities: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    for name, module in network.named_modules():
        if isinstance(module, Ensemble):
            alpha = tensors[f"{name}.alpha"].double()
            both = alpha.tolist(), alpha.softmax(0).tolist()
            return dict(zip(modalities, both[0])), dict(zip(modalities, both[1]))
    return {}, {}
