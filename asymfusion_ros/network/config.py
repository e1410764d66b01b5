"""Everything that decides a network's layers, in one value that a checkpoint carries along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network.choices import check_together, check_values
from asymfusion_ros.network.decoders.config import DecoderConfig
from asymfusion_ros.network.decoders.registry import DECODERS
from asymfusion_ros.network.encoders.registry import ENCODERS
from asymfusion_ros.network.fusion.config import FusionConfig, Route
from asymfusion_ros.network.layers.per_modality import Sharing
from asymfusion_ros.settings import check_limits, checked, setting


@dataclass(frozen=True)
class NetworkConfig:
    """The network's layers. Raises ConfigError for a value that is unknown or cannot be built.

    What a part of the network needs of it is ``sharing``, ``fusion_config``, ``decoder_config`` and
    ``stops_at``.
    """

    architecture: str = setting(
        "refinenet",
        "the decoder, a name in DECODERS; `refinenet_lw` is Light-Weight RefineNet (1 x 1); `unet` makes "
        "images",
    )
    encoder: str = setting(
        "resnet101",
        "a name in ENCODERS; `xception65` goes only with `deeplabv3plus`, `unet`, `unet16` and `unet8` with "
        "`unet`",
    )
    classes: int = setting(40, "classes of the masks, which are 8 bits; 255 is void", minimum=2, maximum=255)
    modalities: tuple[str, ...] = setting(
        ("rgb", "depth"), "a name for each input, in input order; each input has three channels"
    )
    fusion: str = setting(
        "asymmetric",
        "the exchange in the encoder, a name in FUSIONS; `skip` is `asymmetric` without the shift (Section "
        "4.4 of the paper); `average`, `concat`, `attention` (SSMA) and `mmf` (RDFNet) are the baselines",
    )
    direction: str = setting(
        "bidirectional", "`bidirectional`, or `<source>_to_<target>` in the modalities' names"
    )
    shared_convs: bool = setting(True, "one encoder and decoder for all modalities, or one for each")
    private_norms: bool = setting(True, "an encoder's batch norms for each modality, or one set (Table 4)")
    keep: float = setting(
        0.7, "T / C of Eq. 2: the share of channels that is not exchanged", above=0, below=1
    )
    variant: str = setting(
        "paper",
        "the paper's equations, or the authors' released code exactly, which keeps 4 floor(C / 5) channels "
        "and shifts only those",
        choices=("paper", "released"),
    )
    decoder_channels: int | None = setting(
        None,
        "the decoder's width, null for 256; the coarsest level of RefineNet's over a ResNet has twice that",
        minimum=1,
        maximum=2048,
    )
    dropout: float = setting(
        0.5,
        "of channels: at RefineNet's inputs from 1/16 and 1/32 and before its classifier, or after "
        "DeepLabv3+'s pyramid (0.1 in the reference); of elements: inside `mmf`, and in the released variant",
        minimum=0,
        below=1,
    )
    fusion_stages: tuple[int, ...] | None = setting(None, "the stages that fuse, from 1; null for all")
    fusion_blocks: str = setting(
        "last",
        "the blocks of such a stage that fuse: the last, as in the paper, or all that can",
        choices=("last", "all"),
    )
    output_stride: int | None = setting(
        None,
        "for `deeplabv3plus`: the input's size over that of the coarsest features, null for 16; what would "
        "stride further is dilated",
    )
    norm: str = setting(
        "batch",
        "for `unet`: batch norms as in the paper, or instance norms",
        choices=("batch", "instance"),
    )

    def __post_init__(self) -> None:
        if isinstance(self.modalities, str):
            raise ConfigError(f"modalities: {self.modalities!r} is one string; give a list of names")
        object.__setattr__(self, "modalities", tuple(self.modalities))
        if self.fusion_stages is not None:
            if not isinstance(self.fusion_stages, list | tuple):
                raise ConfigError(
                    f"fusion_stages: {self.fusion_stages!r} is not a list; give a list of stages"
                )
            object.__setattr__(self, "fusion_stages", tuple(self.fusion_stages))
        check_limits(self, "")
        check_values(self)
        check_together(self)
        self.route  # noqa: B018  (refuses an unknown direction)

    @property
    def route(self) -> Route | None:
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

    @property
    def makes_images(self) -> bool:
        """Whether the decoder makes images (a translation) instead of logits: ``classes`` then means
        nothing."""
        return DECODERS[self.architecture].images

    @property
    def sharing(self) -> Sharing:
        """What the modalities share."""
        instance = self.norm == "instance"
        return Sharing(len(self.modalities), self.shared_convs, self.private_norms, instance)

    @property
    def fusion_config(self) -> FusionConfig:
        """What the encoder needs for its fusions."""
        encoder, skips = ENCODERS[self.encoder], DECODERS[self.architecture].skips
        read = encoder.stages - 1 if skips is None else skips
        if len(encoder.strides) != encoder.stages:  # the features are no outputs of stages
            read = 0
        return FusionConfig(
            method=self.fusion,
            modalities=len(self.modalities),
            route=self.route,
            keep=self.keep,
            variant=self.variant,
            dropout=self.dropout,
            stages=self.fusion_stages,
            blocks=self.fusion_blocks,
            skips=tuple(range(1, read + 1)),
            coarsest=encoder.stages,
        )

    @property
    def stops_at(self) -> int | None:
        """The stride that the encoder stops at; None for its own."""
        possible = ENCODERS[self.encoder].output_strides
        strides = (stride for stride in DECODERS[self.architecture].output_strides if stride in possible)
        return self.output_stride or next(strides, None)

    @property
    def decoder_config(self) -> DecoderConfig:
        """What the decoder needs."""
        return DecoderConfig(
            classes=self.classes,
            width=self.decoder_channels or 256,
            coarsest=ENCODERS[self.encoder].coarsest_width,
            dropout=self.dropout,
            drops_channels=self.variant == "paper",
            output_stride=self.stops_at,
            instance_norms=self.norm == "instance",
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it, without what the architecture does not have."""
        stages = None if self.fusion_stages is None else list(self.fusion_stages)
        values = {**asdict(self), "modalities": list(self.modalities), "fusion_stages": stages}
        del values["classes" if self.makes_images else "norm"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> NetworkConfig:
        """A setting that is not given has its default. Raises ConfigError for one that is unknown, of another
        type, or impossible."""
        return cls(**checked(cls, values, "network"))
