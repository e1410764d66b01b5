"""Everything that decides a network's layers, in one value that a checkpoint carries along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.settings import checked

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
EFFICIENTNETS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
CHOICES: dict[str, tuple[Any, ...]] = {
    "architecture": ("refinenet", "refinenet_lw"),
    "encoder": (*RESNETS, *EFFICIENTNETS),
    "fusion": ("none", "shuffle", "shift", "skip", "asymmetric"),
    "shared_convs": (True,),
    "private_norms": (True, False),
    "variant": ("paper", "released"),
}


@dataclass(frozen=True)
class NetworkConfig:
    """The network's layers. Raises ConfigError for a value that is unknown or cannot be built.

    architecture: the decoder; ``refinenet_lw`` is Light-Weight RefineNet (1 x 1 convolutions).
    modalities: a name for each input, in input order; each input has three channels.
    fusion: the exchange in the last block of each encoder stage; ``skip`` is ``asymmetric`` with the
    shift replaced by the identity (Section 4.4 of the paper).
    direction: ``bidirectional`` or ``<source>_to_<target>`` in the modalities' names.
    private_norms: batch norms of the encoder private to a modality, or one set for all (Table 4).
    keep: T / C of Eq. 2. variant: the paper's equations, or the authors' released code exactly, which
    keeps 4 floor(C / 5) channels and shifts those alone.
    decoder_channels: width of the decoder (None: 256); the coarsest level of a ResNet's has twice that.
    dropout: at the decoder's inputs from 1/16 and 1/32 and before the classifier.
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

    def __post_init__(self) -> None:
        if isinstance(self.modalities, str):
            raise ConfigError(f"modalities: {self.modalities!r} is one string; give a list of names")
        object.__setattr__(self, "modalities", tuple(self.modalities))
        for field, choices in CHOICES.items():
            value = getattr(self, field)
            if value not in choices:
                raise ConfigError(f"{field}: {value!r} is not available; choose from {_listed(choices)}")
        if not 2 <= self.classes <= 255:
            raise ConfigError(
                f"classes: {self.classes} is not within 2 to 255 (masks are 8 bits, 255 is void)"
            )
        if not self.modalities or len(set(self.modalities)) < len(self.modalities):
            raise ConfigError(f"modalities: {list(self.modalities)} must be one or more different names")
        if not 0 < self.keep < 1:
            raise ConfigError(f"keep: {self.keep} is not between 0 and 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout: {self.dropout} is not within 0 to 1 (1 excluded)")
        if self.decoder_channels is not None and self.decoder_channels < 1:
            raise ConfigError(f"decoder_channels: {self.decoder_channels} is not a positive number")
        if self.variant == "released" and not (
            self.architecture == "refinenet"
            and self.encoder in ("resnet50", "resnet101", "resnet152")
            and self.fusion == "asymmetric"
            and self.direction == "bidirectional"
            and self.private_norms
            and len(self.modalities) <= 2
        ):
            raise ConfigError(
                "variant: 'released' is RefineNet with ResNet-50, 101 or 152, private norms, bidirectional "
                "asymmetric fusion and at most two modalities; for anything else use 'paper'"
            )
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
        return {**asdict(self), "modalities": list(self.modalities)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """Raises ConfigError for a setting that is unknown, of another type, or impossible."""
        return cls(**checked(cls, values, "network"))


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)
