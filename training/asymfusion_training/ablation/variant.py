"""What a table's row varies, and how a recipe becomes that row's."""

from __future__ import annotations

from dataclasses import dataclass, replace

from asymfusion_ros.errors import ConfigError
from asymfusion_training.recipe import Recipe

# The second backbone of Table 1, for each that a recipe may have.
LARGER = {
    "resnet18": "resnet34",
    "resnet34": "resnet50",
    "resnet50": "resnet101",
    "resnet101": "resnet152",
    "efficientnet_lite0": "efficientnet_lite2",
    "efficientnet_lite1": "efficientnet_lite2",
}


@dataclass(frozen=True)
class Variant:
    """The fields of NetworkConfig that the tables vary; distilled: with the recipe's distillation or none;
    larger: with the encoder that ``LARGER`` has for the recipe's."""

    modalities: tuple[str, ...] = ("rgb", "depth")
    fusion: str = "asymmetric"
    direction: str = "bidirectional"
    shared_convs: bool = True
    private_norms: bool = True
    distilled: bool = True
    larger: bool = False

    @property
    def name(self) -> str:
        """Of the row's folder: the same variant in two tables is one run."""
        parts = ["+".join(self.modalities)]
        if len(self.modalities) > 1:
            parts += [
                self.fusion,
                self.direction,
                f"{'shared' if self.shared_convs else 'individual'}-convs",
                f"{'private' if self.private_norms else 'shared'}-norms",
                "distilled" if self.distilled else "not-distilled",
            ]
        return "_".join([*parts, "larger"] if self.larger else parts)

    def recipe(self, base: Recipe, seed: int) -> Recipe:
        """``base`` with this variant. Raises ConfigError where it cannot have it."""
        network = {
            **base.network,
            "modalities": list(self.modalities),
            "fusion": self.fusion,
            "direction": self.direction,
            "shared_convs": self.shared_convs,
            "private_norms": self.private_norms,
        }
        if self.larger:
            encoder = base.network_config().encoder
            if encoder not in LARGER:
                raise ConfigError(f"there is no larger encoder than {encoder}")
            network["encoder"] = LARGER[encoder]
        task = base.task if self.distilled else replace(base.task, distillation=0.0)
        return replace(base, network=network, task=task, loop=replace(base.loop, seed=seed))
