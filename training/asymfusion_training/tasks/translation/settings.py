"""The recipe's section ``translation``: what a network that makes images learns from."""

from __future__ import annotations

from dataclasses import dataclass

from asymfusion_ros.settings import check_limits, setting


@dataclass(frozen=True)
class TranslationSettings:
    """Raises ConfigError for a value that is impossible."""

    target: str = setting("rgb", "the modality that images are made of, a colour one of the folder")
    l1_weight: float = setting(
        100.0, "of the L1 distance of each domain's image, beside 1 for the others", minimum=0
    )
    adversarial: bool = setting(True, "train a discriminator against the network, as pix2pix does")
    ensemble_loss: str = setting(
        "weights",
        "the L1 distance of the ensemble, at l1_weight: it trains its weights alone, or the domains' images "
        "too, or is left out, and the ensemble stays their mean",
        choices=("weights", "images", "none"),
    )
    discriminator_width: int = setting(64, "channels of its first layer", minimum=1, maximum=512)
    domain_dropout: float = setting(
        0.0,
        "chance of a step that sees only one domain, so that the network serves when the others are absent",
        minimum=0,
        below=1,
    )

    def __post_init__(self) -> None:
        check_limits(self, "recipe: ")
