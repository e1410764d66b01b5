"""A recipe: everything that decides a training run but the data, in one YAML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.settings import checked


@dataclass(frozen=True)
class Recipe:
    """The settings of a run; the values here are the defaults of a recipe file.

    network: NetworkConfig's fields (``classes`` comes from the data). input: InputSpec's fields.
    pretrained: ``imagenet``, a file's path, or ``none``.
    encoder_rate, decoder_rate: peak learning rates of the one-cycle schedule (alpha learns like the decoder).
    scale: smallest and largest random zoom, relative to the network's input size.
    norm_momentum: the share of a step's statistics in the running ones that evaluation uses.
    crop: (height, width) of the training windows; None: the network's input size.
    validate_every: epochs between two scorings of ``val`` (the last epoch is always scored).
    modality_dropout: the chance of a step with one random modality absent, so that the checkpoint still
    serves when a camera is lost. depth_holes: the chance of a frame whose depth gets holes.
    distillation: weight of the KL divergence from the detached ensemble to each branch.
    """

    network: dict[str, Any] = field(default_factory=dict)
    input: dict[str, Any] = field(default_factory=dict)
    pretrained: str = "imagenet"
    epochs: int = 12
    batch: int = 8
    encoder_rate: float = 5e-4
    decoder_rate: float = 3e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    scale: tuple[float, float] = (0.75, 1.75)
    norm_momentum: float = 0.1
    crop: tuple[int, int] | None = None
    validate_every: int = 1
    modality_dropout: float = 0.1
    depth_holes: float = 0.3
    distillation: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))
        if self.crop is not None:
            object.__setattr__(self, "crop", tuple(self.crop))
            if len(self.crop) != 2 or min(self.crop) < 64:
                raise ConfigError(f"recipe: crop {self.crop} must be [height, width], 64 or more each")
        for name in ("epochs", "batch", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"recipe: {name} is {getattr(self, name)}; it must be 1 or more")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"recipe: scale {self.scale} must be [smallest, largest], both above 0")
        if not 0 < self.norm_momentum <= 1:
            raise ConfigError(f"recipe: norm_momentum is {self.norm_momentum}; it must be above 0, at most 1")
        if "classes" in self.network:
            raise ConfigError("recipe: network: classes is set by the data; leave it out")
        for name in ("modality_dropout", "depth_holes", "warm_up"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"recipe: {name} is {getattr(self, name)}; it must be within 0 to 1 (1 excluded)"
                )
        for name in ("encoder_rate", "decoder_rate", "weight_decay", "distillation", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"recipe: {name} is {getattr(self, name)}; it must not be negative")

    def network_config(self, classes: int) -> NetworkConfig:
        return NetworkConfig.from_dict({**self.network, "classes": classes})

    def input_spec(self) -> InputSpec:
        return InputSpec.from_dict(self.input)


def load_recipe(name: str) -> Recipe:
    """A recipe in the package by its name, or a YAML file by its path.

    Raises ConfigError for a file that is missing or broken, and for a setting that is unknown,
    of another type, or impossible.
    """
    path = Path(name)
    folder = Path(__file__).parent / "recipes"
    if path.suffix not in (".yaml", ".yml"):
        path = folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.yaml")))
        raise ConfigError(f"recipe {name!r} does not exist: give a YAML file, or one of {known}")
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"recipe {path} is not YAML: {' '.join(str(error).split())}") from error
    return Recipe(**checked(Recipe, values, f"recipe {path}"))
