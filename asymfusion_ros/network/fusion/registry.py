"""The fusions by their names. A new one is a Fusion in a file of its own, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from asymfusion_ros.network.fusion import symmetric
from asymfusion_ros.network.fusion.asymmetric import AsymmetricFusion
from asymfusion_ros.network.fusion.base import Fusion
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.symmetric import SymmetricFusion


@dataclass(frozen=True)
class FusionEntry:
    """make: (config, channels, stage) -> Fusion; None for no exchange at all. parametric: has layers of its
    own for each modality that receives, and so needs two modalities or more. released: what the authors'
    released code does."""

    make: Callable[[FusionConfig, int, int], Fusion] | None
    parametric: bool = False
    released: bool = False


FUSIONS: dict[str, FusionEntry] = {
    "none": FusionEntry(None),
    "shuffle": FusionEntry(partial(AsymmetricFusion, adds=False)),
    "shift": FusionEntry(partial(AsymmetricFusion, shuffles=False)),
    "skip": FusionEntry(partial(AsymmetricFusion, shifts=False)),
    "asymmetric": FusionEntry(AsymmetricFusion, released=True),
    "average": FusionEntry(partial(SymmetricFusion, block=symmetric.average)),
    "concat": FusionEntry(partial(SymmetricFusion, block=symmetric.concat), parametric=True),
    "attention": FusionEntry(partial(SymmetricFusion, block=symmetric.attention), parametric=True),
    "mmf": FusionEntry(partial(SymmetricFusion, block=symmetric.mmf), parametric=True),
}


def make_fusion(config: FusionConfig, channels: int, stage: int | None) -> Fusion | None:
    """The fusion of a block with so many channels between its convolutions, in a stage of
    ``FusionConfig.place``; None where the block has none."""
    make = FUSIONS[config.method].make
    return None if make is None or stage is None else make(config, channels, stage)
