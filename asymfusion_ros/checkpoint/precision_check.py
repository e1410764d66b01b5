"""What a lower precision costs a checkpoint, measured on labelled frames and recorded in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from asymfusion_ros.errors import ConfigError

# The least share of pixels with the class of fp32, by precision.
LEAST_AGREEMENT = {"fp32": 0.995, "fp16": 0.995, "bf16": 0.985, "int8": 0.93}
MOST_LOST = 0.002  # of the mean IoU
# How a norm after a convolution is computed, which decides what is rounded: by torch on its own, by what
# compiles an exported graph within the convolution.
WAYS = ("torch", "compiled")


@dataclass(frozen=True)
class PrecisionCheck:
    """Of one precision, one way. frames: how many. agreement: the share of pixels with fp32's class, 0 to 1,
    over every set of available modalities. mean_iou, mean_iou_fp32: of all modalities together, 0 to 1.
    frames_from, computed_by: for people.
    """

    way: str
    precision: str
    frames: int
    agreement: float
    mean_iou: float
    mean_iou_fp32: float
    frames_from: str
    computed_by: str

    def __post_init__(self) -> None:
        if self.way not in WAYS or self.precision not in LEAST_AGREEMENT:
            raise ConfigError(f"precision checks: {self.way!r:.60} in {self.precision!r:.60} is unknown")
        if type(self.frames) is not int or self.frames < 1:
            raise ConfigError(f"precision checks: {self.frames!r:.60} is no number of frames")
        for name in ("agreement", "mean_iou", "mean_iou_fp32"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value <= 1:
                raise ConfigError(f"precision checks: {name} of {value!r:.60} is not within 0 to 1")

    @property
    def passed(self) -> bool:
        """Whether a robot may compute so unasked."""
        least = LEAST_AGREEMENT[self.precision]
        return self.agreement >= least and self.mean_iou >= self.mean_iou_fp32 - MOST_LOST

    def __str__(self) -> str:
        return (
            f"{self.agreement:.2%} of the pixels as in fp32, mean IoU {100 * self.mean_iou:.2f} instead of "
            f"{100 * self.mean_iou_fp32:.2f} on {self.frames} frames of {self.frames_from}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> PrecisionCheck:
        """Raises ConfigError for anything but such."""
        if not isinstance(values, Mapping) or set(values) != {one.name for one in fields(cls)}:
            raise ConfigError(f"precision checks: {values!r:.60} is none")
        return cls(**values)


def read_checks(found: Any) -> tuple[PrecisionCheck, ...]:
    """Of a checkpoint's metadata. Raises ConfigError."""
    if not isinstance(found, list):
        raise ConfigError(f"precision checks are {found!r:.60}, not a list")
    return tuple(PrecisionCheck.from_dict(values) for values in found)


def check_of(checks: Sequence[PrecisionCheck], way: str, precision: str) -> PrecisionCheck | None:
    """The one of this way and precision."""
    return next((one for one in checks if (one.way, one.precision) == (way, precision)), None)
