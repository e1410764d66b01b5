"""A recipe: everything that decides a training run but the data, in one YAML file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.settings import checked

CHOICES = {
    "optimiser": ("adamw", "sgd"),
    "schedule": ("one_cycle", "cosine", "poly", "constant"),
    "precision": ("fp32", "bf16", "fp16"),
    "norms": ("live", "frozen"),
    "scale_law": ("log", "uniform"),
    "loss_at": ("half", "labels"),
}


@dataclass(frozen=True)
class Recipe:
    """The settings of a run; the values here are the defaults of a recipe file.

    network: NetworkConfig's fields (``classes`` comes from the data). input: InputSpec's fields.
    pretrained: ``imagenet``, the path of such a file, ``none``; or for fine-tuning ``default`` (the package's
    checkpoint) or the path of another ``.safetensors`` one.
    batch: frames of one optimiser step, over all processes. accumulate: forward passes that it is cut into.
    optimiser: ``adamw`` or ``sgd`` (with ``momentum``). encoder_rate, decoder_rate: peak learning rates
    (alpha learns like the decoder). weight_decay: of convolutions; with decay_all of norms, biases and alpha
    too. clip: largest norm of the gradients.
    schedule: ``one_cycle`` (a cosine up over the share ``warm_up`` of the steps, and one down), ``cosine``,
    ``poly`` (power 0.9) or ``constant``. stages: [epochs, encoder_rate, decoder_rate] each, rates constant
    within one; they replace epochs, the two rates and the schedule.
    scale: smallest and largest random zoom, relative to the network's input size; scale_law: zooms are
    drawn evenly on a ``log`` scale (as often twice as large as half) or ``uniform``. shortest: pixels that
    the zoomed frame's shorter side has at least. crop: (height, width) of the training windows; null: the
    network's input size. colours: strength of the random colours, 0 for none.
    norms: ``live`` batch statistics, or ``frozen`` ones of the pretrained weights. norm_momentum: the share
    of a step's statistics in the running ones that evaluation uses.
    class_balance: class c weighs (median frequency / its frequency) ** class_balance in the cross entropy,
    within 0.1 to 10; 0: all alike.
    modality_dropout: the chance of a step with one random modality alone, so that the checkpoint still
    serves when a camera is lost. depth_holes, depth_noise: the chance of a frame whose depth gets holes,
    and of one with ragged edges, noise and quantisation.
    loss_at: ``half`` the labels' resolution (twice the decoder's), which costs a quarter, or ``labels``.
    distillation: weight of the KL divergence from the detached ensemble to each branch, at ``temperature``.
    ema: decay a step of the averaged weights that are scored and kept; 0: the last weights themselves.
    precision: ``fp32``, or ``bf16`` or ``fp16`` mixed with it. compile: torch.compile, where it pays.
    validate_every: epochs between two scorings of ``val`` (the last epoch is always scored).
    """

    network: dict[str, Any] = field(default_factory=dict)
    input: dict[str, Any] = field(default_factory=dict)
    pretrained: str = "imagenet"
    epochs: int = 12
    batch: int = 8
    accumulate: int = 1
    optimiser: str = "adamw"
    momentum: float = 0.9
    encoder_rate: float = 3e-4
    decoder_rate: float = 1e-3
    weight_decay: float = 0.01
    decay_all: bool = False
    clip: float = 10.0
    schedule: str = "one_cycle"
    warm_up: float = 0.1
    stages: tuple[tuple[float, float, float], ...] = ()
    scale: tuple[float, float] = (0.75, 1.75)
    scale_law: str = "log"
    shortest: int = 0
    crop: tuple[int, int] | None = None
    colours: float = 1.0
    norms: str = "live"
    norm_momentum: float = 0.1
    class_balance: float = 0.0
    modality_dropout: float = 0.4
    depth_holes: float = 0.3
    depth_noise: float = 0.5
    loss_at: str = "half"
    distillation: float = 0.3
    temperature: float = 1.0
    ema: float = 0.0
    precision: str = "fp32"
    channels_last: bool = True
    compile: bool = False
    validate_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))
        object.__setattr__(self, "stages", tuple(tuple(stage) for stage in self.stages))
        if self.crop is not None:
            object.__setattr__(self, "crop", tuple(self.crop))
            if len(self.crop) != 2 or min(self.crop) < 64:
                raise ConfigError(f"recipe: crop {self.crop} must be [height, width], 64 or more each")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(
                    f"recipe: {name} is {getattr(self, name)!r}; choose from {', '.join(choices)}"
                )
        for name in ("epochs", "batch", "accumulate", "validate_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"recipe: {name} is {getattr(self, name)}; it must be 1 or more")
        if self.batch % self.accumulate:
            raise ConfigError(
                f"recipe: batch {self.batch} cannot be cut into accumulate = {self.accumulate} equal parts"
            )
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"recipe: scale {self.scale} must be [smallest, largest], both above 0")
        if not 0 < self.norm_momentum <= 1:
            raise ConfigError(f"recipe: norm_momentum is {self.norm_momentum}; it must be above 0, at most 1")
        if "classes" in self.network:
            raise ConfigError("recipe: network: classes is set by the data; leave it out")
        for name in ("modality_dropout", "depth_holes", "depth_noise", "warm_up", "momentum", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(
                    f"recipe: {name} is {getattr(self, name)}; it must be within 0 to 1 (1 excluded)"
                )
        for name in (
            *("encoder_rate", "decoder_rate", "weight_decay", "distillation", "seed", "shortest"),
            "class_balance",
        ):
            if getattr(self, name) < 0:
                raise ConfigError(f"recipe: {name} is {getattr(self, name)}; it must not be negative")
        if not 0 <= self.colours <= 2:
            raise ConfigError(f"recipe: colours is {self.colours}; it must be within 0 to 2")
        for name in ("clip", "temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"recipe: {name} is {getattr(self, name)}; it must be above 0")
        for stage in self.stages:
            if stage[0] < 1 or stage[0] != int(stage[0]) or min(stage) < 0:
                raise ConfigError(
                    f"recipe: stage {list(stage)} must be [epochs, encoder_rate, decoder_rate]: epochs a "
                    "whole number of 1 or more, rates not negative"
                )

    @property
    def total_epochs(self) -> int:
        return int(sum(stage[0] for stage in self.stages)) if self.stages else self.epochs

    def network_config(self, classes: int) -> NetworkConfig:
        return NetworkConfig.from_dict({**self.network, "classes": classes})

    def input_spec(self) -> InputSpec:
        return InputSpec.from_dict(self.input)

    def to_dict(self) -> dict[str, Any]:
        """Every setting, as JSON can hold it."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A recipe in the package by its name, or a YAML file by its path.

    ``changes``: ``name=value`` each, value in YAML, which replace what the file says; a setting of a group is
    named ``network.encoder``. Raises ConfigError for a file that is missing or broken, and for a setting
    that is unknown, of another type, or impossible.
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
    if changes and isinstance(values, dict):
        for change in changes:
            _change(values, change)
        replaced = {"epochs", "encoder_rate", "decoder_rate", "schedule", "warm_up"}
        ignored = [change for change in changes if change.partition("=")[0] in replaced]
        if values.get("stages") and ignored:
            raise ConfigError(f"--set {ignored[0]}: the recipe's stages decide that; add --set stages=[]")
    return Recipe(**checked(Recipe, values, f"recipe {path}"))


def _change(values: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {change!r}: {text!r} is not YAML") from error
    if not (name and equals):
        raise ConfigError(f"--set {change!r} must be name=value, for example epochs=20")
    *groups, last = name.split(".")
    for group in groups:
        values = values.setdefault(group, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {change!r}: {group} is not a set of settings")
    values[last] = value
