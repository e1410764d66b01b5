"""How far the modalities' private norms have moved apart (Eq. 1 of the paper).

A norm computes scale * (x - mean) / std + bias; DEFINITIONS say what is compared. <> is the mean over the
channels, a denominator without an index the mean of the two modalities, std the root of the running variance
plus eps. So scale and bias are in standard deviations of what the norm puts out, mean in those of what it
takes in, and the logarithm is a relative difference where it is small: 0 is no difference, 1 one as large as
the quantity itself. With more than two modalities: the mean over their pairs. Statistics are those of the
modalities in company.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean

from torch import Tensor, nn

from asymfusion_ros.inspection.stages import Stage, block_of
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d

DEFINITIONS = {
    "scale": "<|scale_1 - scale_2|> / <|scale|>",
    "bias": "<|bias_1 - bias_2|> / <|scale|>",
    "mean": "<|mean_1 - mean_2|> / <std>",
    "std": "<|ln(std_1 / std_2)|>",
}


@dataclass(frozen=True)
class Distance:
    """Between modalities, as DEFINITIONS say."""

    scale: float
    bias: float
    mean: float
    std: float


@dataclass(frozen=True)
class NormLayer:
    """A norm with rows of its own for each modality. block: the one it is in. fused: whether that exchanges
    features."""

    name: str
    stage: Stage
    block: str | None
    channels: int
    fused: bool
    distance: Distance


@dataclass(frozen=True)
class Group:
    """Norms taken together; their distance is the mean of the layers'."""

    name: str
    layers: int
    distance: Distance


def norm_layers(
    network: nn.Module, tensors: Mapping[str, Tensor], at: Mapping[str, Stage], exchanging: bool
) -> list[NormLayer]:
    """Those that tell modalities apart, in the order of ``at``, the stages by name of module.

    ``tensors``: the checkpoint's. exchanging: whether fusions do anything.
    """
    modules = dict(network.named_modules())
    found = []
    for name, stage in at.items():
        norm = modules[name]
        if not isinstance(norm, PrivateBatchNorm2d) or len(norm.weight) == 1:
            continue
        block = block_of(name, modules)
        fused = block is not None and f"{block}.fusion" in modules
        scale, bias, mean, variance = (
            tensors[f"{name}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")
        )
        between = distance(scale, bias, mean, variance, norm.eps)
        found.append(NormLayer(name, stage, block, norm.weight.shape[1], fused and exchanging, between))
    return found


def distance(scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float) -> Distance:
    """S x C tensors of one norm, S of two or more."""
    scale, bias, mean = scale.double(), bias.double(), mean.double()
    std = (variance.double() + eps).sqrt()
    pairs = []
    for pair in combinations(range(len(scale)), 2):
        a, b = pair
        put_out = scale[[a, b]].abs().mean().clamp(min=eps)  # a norm that is off in both is no infinity
        pairs.append(
            Distance(
                float((scale[a] - scale[b]).abs().mean() / put_out),
                float((bias[a] - bias[b]).abs().mean() / put_out),
                float((mean[a] - mean[b]).abs().mean() / std[[a, b]].mean()),
                float((std[a] / std[b]).log().abs().mean()),
            )
        )
    return _mean(pairs)


def by_stage(layers: Sequence[NormLayer]) -> list[Group]:
    """A group for each stage, then one of the norms in fused blocks (if any), then one of all."""
    stages = list(dict.fromkeys(layer.stage for layer in layers))
    groups = [_group(stage.label, [layer for layer in layers if layer.stage is stage]) for stage in stages]
    fused = [layer for layer in layers if layer.fused]
    if fused:
        groups.append(_group("in fused blocks", fused))
    return [*groups, _group("all", layers)]


def _group(name: str, layers: Sequence[NormLayer]) -> Group:
    return Group(name, len(layers), _mean([layer.distance for layer in layers]))


def _mean(distances: Sequence[Distance]) -> Distance:
    values = [asdict(distance) for distance in distances]
    return Distance(**{key: fmean(value[key] for value in values) for key in DEFINITIONS})
