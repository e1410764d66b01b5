"""The recipe's section ``loop``: how long, how fast and how exactly a run learns, whatever its task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.settings import check_limits, setting


@dataclass(frozen=True)
class LoopSettings:
    """Raises ConfigError for a value that is impossible."""

    epochs: int = setting(12, "passes over the training frames", minimum=1)
    batch: int = setting(8, "frames of one optimiser step, over all processes", minimum=1)
    accumulate: int = setting(1, "forward passes that a batch is cut into", minimum=1)
    optimiser: str = setting("adamw", "adamw, or sgd with momentum", choices=("adamw", "sgd"))
    momentum: float = setting(0.9, "of sgd; of adamw, the decay of its mean gradient", minimum=0, below=1)
    encoder_lr: float = setting(3e-4, "peak learning rate of the encoder", minimum=0)
    decoder_lr: float = setting(1e-3, "peak learning rate of the decoder and of the ensemble", minimum=0)
    weight_decay: float = setting(0.01, "of the convolutions", minimum=0)
    decay_all: bool = setting(False, "weight decay of norms, biases and the ensemble's weights too")
    clip: float = setting(10.0, "largest norm of the gradients", above=0)
    schedule: str = setting(
        "one_cycle",
        "of the learning rates: one_cycle is a cosine up over the warm-up and one down; poly has power 0.9; "
        "linear is constant before it falls",
        choices=("one_cycle", "cosine", "poly", "constant", "linear"),
    )
    constant_share: float = setting(0.5, "share of the steps before linear falls", minimum=0, below=1)
    warmup: float = setting(0.1, "share of the steps in which one_cycle rises", minimum=0, below=1)
    stages: tuple[tuple[float, float, float], ...] = setting(
        (),
        "[epochs, encoder_lr, decoder_lr] each, constant within one; they replace epochs, both rates and "
        "the schedule",
    )
    ema: float = setting(
        0.0, "decay a step of the averaged weights that are scored and kept; 0: none", minimum=0, below=1
    )
    precision: str = setting("fp32", "bf16 and fp16 are mixed with fp32", choices=("fp32", "bf16", "fp16"))
    channels_last: bool = setting(True, "the memory layout that convolutions are fastest in")
    compile: bool = setting(False, "torch.compile, where it pays")
    validate_every: int = setting(
        1, "epochs between two scorings of val; the last epoch is always scored", minimum=1
    )
    seed: int = setting(0, "of everything that is random", minimum=0)

    def __post_init__(self) -> None:
        check_limits(self, "recipe: ")
        if self.batch % self.accumulate:
            raise ConfigError(
                f"recipe: batch {self.batch} cannot be cut into accumulate = {self.accumulate} equal parts"
            )
        for stage in self.stages:
            if stage[0] < 1 or stage[0] != int(stage[0]) or min(stage) < 0:
                raise ConfigError(
                    f"recipe: stage {list(stage)} must be [epochs, encoder_lr, decoder_lr]: epochs a "
                    "whole number of 1 or more, rates not negative"
                )

    @property
    def total_epochs(self) -> int:
        """Those of all stages, where there are any."""
        return int(sum(stage[0] for stage in self.stages)) if self.stages else self.epochs


class RunRecipe(Protocol):
    """What the loop needs to know of a recipe: its own section, and the whole of it to write down."""

    @property
    def loop(self) -> LoopSettings:
        """The section ``loop``."""

    def to_dict(self) -> dict[str, Any]:
        """Every setting by its name, as JSON can hold it."""

    def upgraded(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """What ``to_dict`` of another version of the code wrote, as this version's would have it."""
