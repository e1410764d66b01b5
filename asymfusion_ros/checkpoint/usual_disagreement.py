"""How far a checkpoint's modalities usually disagree, measured on good frames: what more than that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.errors import ConfigError

LEVELS = 256
PIXELS_BEYOND = 0.05  # of the pixels of good frames
QUANTILES = 101  # of the frames' shares that are kept: each percent


@dataclass(frozen=True)
class UsualDisagreement:
    """level: of the engine's disagreement (0 to 255), beyond which at most PIXELS_BEYOND of the pixels of
    good frames are. shares: what share of a frame's pixels (0 to 1) is beyond it: quantiles over good frames
    at equal steps, the smallest share first.
    """

    level: int
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if type(self.level) is not int or not 0 <= self.level < LEVELS:
            raise ConfigError(f"calibration: a disagreement's level of {self.level!r} is not within 0 to 255")
        ascending = all(low <= high for low, high in zip(self.shares, self.shares[1:]))
        if len(self.shares) < 2 or not ascending or not 0 <= self.shares[0] <= self.shares[-1] <= 1:
            raise ConfigError(
                "calibration: the shares of disagreement are not two or more ascending numbers within 0 to 1"
            )

    @classmethod
    def measured(cls, histograms: Sequence[npt.NDArray[np.int64]]) -> UsualDisagreement:
        """From each good frame's ``histogram``, at least one."""
        counts = np.stack(histograms)
        pixels = counts.sum(0)
        # The first level that few enough of all pixels are beyond.
        beyond = pixels.sum() - np.cumsum(pixels)
        level = int(np.argmax(beyond <= PIXELS_BEYOND * pixels.sum()))
        shares = counts[:, level + 1 :].sum(1) / counts.sum(1)
        quantiles = np.quantile(shares, np.linspace(0, 1, QUANTILES)).round(5)
        return cls(level, tuple(quantiles.tolist()))

    def share(self, disagreement: npt.NDArray[np.uint8]) -> float:
        """The share of pixels beyond the level, 0 to 1."""
        return float(np.count_nonzero(disagreement > self.level) / disagreement.size)

    def quantile(self, fraction: float) -> float:
        """The share that so many of the good frames (0 to 1) keep to."""
        return float(np.quantile(self.shares, fraction))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"level": self.level, "shares": list(self.shares)}

    @classmethod
    def from_dict(cls, values: Any) -> UsualDisagreement:
        """Raises ConfigError for anything but such."""
        if not isinstance(values, Mapping) or not isinstance(values.get("shares"), list):
            raise ConfigError(f"calibration: {values!r:.60} does not say how far modalities usually disagree")
        wrong = next((one for one in values["shares"] if type(one) not in (int, float)), None)
        if wrong is not None:
            raise ConfigError(f"calibration: a share of {wrong!r:.60} is not a number")
        return cls(values.get("level", -1), tuple(map(float, values["shares"])))


def histogram(disagreement: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """256 counts of the engine's disagreement of one frame."""
    return np.bincount(disagreement.ravel(), minlength=LEVELS)
