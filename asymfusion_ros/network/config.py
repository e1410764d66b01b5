"""Everything that decides a network's layers, in one value that a checkpoint carries along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network.choices import CHOICES, EFFICIENTNETS, RESNETS, check_together, check_values
from asymfusion_ros.settings import checked

__all__ = ["CHOICES", "EFFICIENTNETS", "RESNETS", "NetworkConfig"]


@dataclass(frozen=True)
class NetworkConfig:
    """The network's layers. Raises ConfigError for a value that is unknown or cannot be built.

    architecture: the decoder; ``refinenet_lw`` is Light-Weight RefineNet (1 x 1 convolutions).
    ``deeplabv3plus`` takes ``xception65``, which goes with no other, and the ResNets.
    modalities: a name for each input, in input order; each input has three channels.
    fusion: the exchange inside the encoder; ``skip`` is ``asymmetric`` with the shift replaced by the
    identity (Section 4.4 of the paper); ``average``, ``concat``, ``attention`` (SSMA) and ``mmf`` (RDFNet)
    are the symmetric baselines.
    direction: ``bidirectional`` or ``<source>_to_<target>`` in the modalities' names.
    fusion_stages: the stages with fusion, from 1; None: every one. fusion_blocks: ``last`` block of such a
    stage, as in the paper, or ``all`` (see placement.py).
    shared_convs: one encoder and decoder for all modalities, or, False, an individual one for each.
    private_norms: batch norms of the encoder private to a modality, or one set for all (Table 4).
    keep: T / C of Eq. 2. variant: the paper's equations, or the authors' released code exactly, which
    keeps 4 floor(C / 5) channels and shifts those alone.
    decoder_channels: width of the decoder (None: 256); the coarsest level of RefineNet's over a ResNet has
    twice that.
    dropout: at RefineNet's inputs from 1/16 and 1/32 and before its classifier; after DeepLabv3+'s pyramid
    (0.1 in the reference); inside ``mmf``.
    output_stride: for ``deeplabv3plus``, the input's size over that of the encoder's coarsest features, 16
    (None: 16) or 8; what would stride further is dilated.
    """

    architecture: str = "refinenet"
    encoder: str = "resnet101"
    classes: int = 40
    modalities: tuple[str, ...] = ("rgb", "depth")
    fusion: str = "asymmetric"
    direction: str = "bidirectional"
    shared_convs: bool = True
    private_norms: bool = True
    keep: float = 0.7
    variant: str = "paper"
    decoder_channels: int | None = None
    dropout: float = 0.5
    fusion_stages: tuple[int, ...] | None = None
    fusion_blocks: str = "last"
    output_stride: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.modalities, str):
            raise ConfigError(f"modalities: {self.modalities!r} is one string; give a list of names")
        object.__setattr__(self, "modalities", tuple(self.modalities))
        if self.fusion_stages is not None:
            if not isinstance(self.fusion_stages, list | tuple):
                raise ConfigError(f"fusion_stages: {self.fusion_stages!r} is no list; give one of stages")
            object.__setattr__(self, "fusion_stages", tuple(self.fusion_stages))
        check_values(self)
        check_together(self)
        self.route  # noqa: B018  (refuses an unknown direction)

    @property
    def route(self) -> tuple[int, int] | None:
        """(source, target) as indices into ``modalities``; None when fusion goes every way."""
        if self.direction == "bidirectional":
            return None
        for source, source_name in enumerate(self.modalities):
            for target, target_name in enumerate(self.modalities):
                if source != target and self.direction == f"{source_name}_to_{target_name}":
                    return source, target
        raise ConfigError(
            f"direction: {self.direction!r} is neither 'bidirectional' nor '<source>_to_<target>' "
            f"of the modalities {', '.join(self.modalities)}"
        )

    def to_dict(self) -> dict[str, Any]:
        stages = None if self.fusion_stages is None else list(self.fusion_stages)
        return {**asdict(self), "modalities": list(self.modalities), "fusion_stages": stages}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """A setting that is not given has its default. Raises ConfigError for one that is unknown, of another
        type, or impossible."""
        return cls(**checked(cls, values, "network"))
