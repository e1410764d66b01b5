"""What each setting of a network may be, and which settings go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asymfusion_ros.errors import ConfigError

if TYPE_CHECKING:
    from asymfusion_ros.network.config import NetworkConfig

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
EFFICIENTNETS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
DEEPLAB, XCEPTION = "deeplabv3plus", "xception65"
PARAMETER_FREE = ("none", "shuffle", "shift", "skip", "asymmetric", "average")
PARAMETRIC = ("concat", "attention", "mmf")
CHOICES: dict[str, tuple[Any, ...]] = {
    "architecture": ("refinenet", "refinenet_lw", DEEPLAB),
    "encoder": (*RESNETS, XCEPTION, *EFFICIENTNETS),
    "fusion": (*PARAMETER_FREE, *PARAMETRIC),
    "output_stride": (None, 8, 16),
    "fusion_blocks": ("last", "all"),
    "shared_convs": (True, False),
    "private_norms": (True, False),
    "variant": ("paper", "released"),
}


def stage_count(encoder: str) -> int:
    """In how many stages of an encoder fusion can happen."""
    return 3 if encoder == XCEPTION else 4


def check_values(config: NetworkConfig) -> None:
    """Raises ConfigError for a setting that is unknown or out of its range."""
    for field, choices in CHOICES.items():
        value = getattr(config, field)
        if value not in choices:
            raise ConfigError(f"{field}: {value!r} is not available; choose from {_listed(choices)}")
    if not 2 <= config.classes <= 255:
        raise ConfigError(f"classes: {config.classes} is not within 2 to 255 (masks are 8 bits, 255 is void)")
    if not config.modalities or len(set(config.modalities)) < len(config.modalities):
        raise ConfigError(f"modalities: {list(config.modalities)} must be one or more different names")
    if not 0 < config.keep < 1:
        raise ConfigError(f"keep: {config.keep} is not between 0 and 1")
    if not 0 <= config.dropout < 1:
        raise ConfigError(f"dropout: {config.dropout} is not within 0 to 1 (1 excluded)")
    if config.decoder_channels is not None and config.decoder_channels < 1:
        raise ConfigError(f"decoder_channels: {config.decoder_channels} is not a positive number")


def check_together(config: NetworkConfig) -> None:
    """Raises ConfigError, with the reason, for settings that cannot be built together."""
    if config.fusion in PARAMETRIC and len(config.modalities) == 1:
        raise ConfigError(
            f"fusion: {config.fusion!r} needs two or more modalities, and {config.modalities[0]} is the only "
            "one: name another, or set fusion to none"
        )
    if not config.shared_convs and not config.private_norms:
        raise ConfigError(
            "private_norms: False needs shared_convs: with shared_convs=False every modality has layers of "
            "its own, and its norms can only be its own too: set private_norms to True"
        )
    _check_architecture(config)
    _check_stages(config)
    if config.variant == "released" and not (
        config.architecture == "refinenet"
        and config.encoder in ("resnet50", "resnet101", "resnet152")
        and config.fusion == "asymmetric"
        and config.direction == "bidirectional"
        and config.fusion_stages is None
        and config.fusion_blocks == "last"
        and config.shared_convs
        and config.private_norms
        and len(config.modalities) <= 2
    ):
        raise ConfigError(
            "variant: 'released' is RefineNet with ResNet-50, 101 or 152, shared convolutions, private "
            "norms, bidirectional asymmetric fusion in the last block of every stage and at most two "
            "modalities; for anything else use 'paper'"
        )


def _check_architecture(config: NetworkConfig) -> None:
    architecture, encoder = config.architecture, config.encoder
    if architecture == DEEPLAB and encoder in EFFICIENTNETS:
        raise ConfigError(
            f"encoder: {encoder} strides down to 1/32, and {DEEPLAB} needs one that can stop at 1/16 or 1/8: "
            f"choose {XCEPTION} or a ResNet, or set architecture to refinenet_lw"
        )
    if architecture != DEEPLAB and encoder == XCEPTION:
        raise ConfigError(
            f"encoder: {XCEPTION} goes with {DEEPLAB} alone; {architecture} reads four resolutions: set "
            f"architecture to {DEEPLAB}, or choose another encoder"
        )
    if architecture != DEEPLAB and config.output_stride is not None:
        raise ConfigError(
            f"output_stride: {config.output_stride} is for {DEEPLAB}; {architecture} reads the encoder's own "
            "strides: leave it out"
        )


def _check_stages(config: NetworkConfig) -> None:
    stages, count = config.fusion_stages, stage_count(config.encoder)
    if stages is None:
        return
    if not stages:
        raise ConfigError("fusion_stages: an empty list leaves no fusion: set fusion to none instead")
    for stage in stages:
        if stage not in range(1, count + 1):
            raise ConfigError(
                f"fusion_stages: {stage!r} is no stage of {config.encoder}, which has 1 to {count}"
            )
    if len(set(stages)) < len(stages):
        raise ConfigError(f"fusion_stages: {list(stages)} names a stage twice; name each once")


def _listed(values: Any) -> str:
    return ", ".join(str(value) for value in values)
