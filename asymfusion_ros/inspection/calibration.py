"""What a checkpoint was calibrated to, in short."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from asymfusion_ros.inspection.provenance import printable


class Usual(Protocol):
    """What this needs of a checkpoint's usual disagreement."""

    level: int

    def quantile(self, fraction: float) -> float:
        """The share that so many of the good frames keep to."""


class Calibrated(Protocol):
    """What this needs of a checkpoint."""

    @property
    def temperatures(self) -> Mapping[str, float]:
        """By available modalities."""

    @property
    def disagreements(self) -> Mapping[str, Usual]:
        """By available modalities, two or more."""


def calibration(checkpoint: Calibrated) -> Iterator[tuple[str, str]]:
    """(name, value) lines: the temperatures, and how far modalities usually disagree."""
    numbers = ", ".join(f"{printable(key)} {one:.3f}" for key, one in checkpoint.temperatures.items())
    yield "temperature", numbers or "1 (not calibrated)"
    for key, usual in checkpoint.disagreements.items():
        middle, most = (100 * usual.quantile(fraction) for fraction in (0.5, 0.95))
        yield (
            "disagree",
            f"{printable(key)}: beyond {usual.level} of 255 in {middle:.1f} % of pixels (median frame; "
            f"{most:.1f} % in the 95th of 100)",
        )
    if not checkpoint.disagreements:
        yield "disagree", "not measured (asymfusion evaluate --calibrate)"
