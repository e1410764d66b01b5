"""What each setting of a network may be, and which settings go together: read from the registries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network.decoders.registry import DECODERS
from asymfusion_ros.network.encoders.registry import ENCODERS
from asymfusion_ros.network.fusion.registry import FUSIONS
from asymfusion_ros.settings import declared

if TYPE_CHECKING:
    from asymfusion_ros.network.config import NetworkConfig

MOST_MODALITIES = 8  # each has norms of its own, or a network of its own
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def choices() -> dict[str, tuple[Any, ...]]:
    """Setting of NetworkConfig -> every value that is registered for it."""
    strides = {stride for decoder in DECODERS.values() for stride in decoder.output_strides}
    return {
        "architecture": tuple(DECODERS),
        "encoder": tuple(ENCODERS),
        "fusion": tuple(FUSIONS),
        "output_stride": (None, *sorted(strides)),
    }


def go_together(architecture: str, encoder: str) -> bool:
    """Whether a decoder can read an encoder's features."""
    meant = ENCODERS[encoder].decoders
    return (
        (not meant or architecture in meant)
        and _fine_enough(architecture, encoder)
        and _stops(architecture, encoder)
    )


def check_values(config: NetworkConfig) -> None:
    """Raises ConfigError for a setting that is not registered, or modalities that are no list of names."""
    for name, known in choices().items():
        value = getattr(config, name)
        if value not in known:
            raise ConfigError(f"{name} is {value!r}; choose one of {_listed(known)}")
    if not config.modalities or len(set(config.modalities)) < len(config.modalities):
        raise ConfigError(f"modalities: {list(config.modalities)} must be one or more different names")
    if len(config.modalities) > MOST_MODALITIES:
        raise ConfigError(f"modalities: {len(config.modalities)} are too many: use at most {MOST_MODALITIES}")
    wrong = next((name for name in config.modalities if not NAME.fullmatch(name)), None)
    if wrong is not None:  # it becomes the name of a folder and of a topic
        raise ConfigError(
            f"modalities: {wrong[:64]!r} is no name: use letters, digits and underscores, a letter first, "
            "64 at most"
        )


def check_together(config: NetworkConfig) -> None:
    """Raises ConfigError, with the reason, for settings that cannot be built together."""
    if FUSIONS[config.fusion].parametric and len(config.modalities) == 1:
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
        DECODERS[config.architecture].released
        and ENCODERS[config.encoder].released
        and FUSIONS[config.fusion].released
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


def _fine_enough(architecture: str, encoder: str) -> bool:
    return len(ENCODERS[encoder].strides) >= DECODERS[architecture].reads


def _stops(architecture: str, encoder: str) -> bool:
    wanted = set(DECODERS[architecture].output_strides)
    return not wanted or bool(wanted & set(ENCODERS[encoder].output_strides))


def _check_architecture(config: NetworkConfig) -> None:
    architecture, encoder = config.architecture, config.encoder
    decoder = DECODERS[architecture]
    decoders = _listed(name for name in DECODERS if go_together(name, encoder))
    if not _fine_enough(architecture, encoder):
        raise ConfigError(
            f"encoder: {encoder} goes with {decoders} alone; {architecture} reads {decoder.reads} "
            f"resolutions: set architecture to {decoders}, or choose another encoder"
        )
    meant = ENCODERS[encoder].decoders
    if meant and architecture not in meant:
        raise ConfigError(
            f"encoder: {encoder} goes with {_listed(meant)} alone: set architecture to {_listed(meant)}, or "
            "choose another encoder"
        )
    if not _stops(architecture, encoder):
        encoders = _listed(name for name in ENCODERS if go_together(architecture, name))
        raise ConfigError(
            f"encoder: {encoder} strides down to 1/{ENCODERS[encoder].strides[-1]}, and {architecture} needs "
            f"one that can stop at 1/{' or 1/'.join(map(str, decoder.output_strides))}: choose one of "
            f"{encoders}, or set architecture to one of {decoders}"
        )
    if config.output_stride is not None and not decoder.output_strides:
        dilating = _listed(name for name, entry in DECODERS.items() if entry.output_strides)
        raise ConfigError(
            f"output_stride: {config.output_stride} is for {dilating}; {architecture} reads the encoder's "
            "own strides: leave it out"
        )
    _check_images(config)
    if config.stops_at is not None and config.stops_at not in ENCODERS[encoder].output_strides:
        raise ConfigError(
            f"output_stride: {encoder} cannot stop at 1/{config.stops_at}: choose one of "
            f"{_listed(ENCODERS[encoder].output_strides)}"
        )


def _check_images(config: NetworkConfig) -> None:
    if not config.makes_images:
        if config.norm != "batch":
            images = _listed(name for name, entry in DECODERS.items() if entry.images)
            raise ConfigError(
                f"norm: {config.norm!r} is for {images}; {config.architecture} has batch norms: leave it out"
            )
        return
    for one in declared(type(config)):
        if one.name in ("classes", "decoder_channels") and getattr(config, one.name) != one.default:
            raise ConfigError(
                f"{one.name}: {config.architecture} makes images of three channels, and is as wide as its "
                "encoder: leave it out"
            )


def _check_stages(config: NetworkConfig) -> None:
    stages, count = config.fusion_stages, ENCODERS[config.encoder].stages
    if stages is None:
        return
    if not stages:
        raise ConfigError("fusion_stages: an empty list leaves no fusion: set fusion to none instead")
    for stage in stages:
        if stage not in range(1, count + 1):
            raise ConfigError(
                f"fusion_stages: {stage!r} is not a stage of {config.encoder}, which has 1 to {count}"
            )
    if len(set(stages)) < len(stages):
        raise ConfigError(f"fusion_stages: {list(stages)} names a stage twice; name each once")


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(str(value) for value in values)
