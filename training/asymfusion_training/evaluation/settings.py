"""How a split is scored."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from asymfusion_ros.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """Raises ConfigError for a value that is impossible.

    scales: the network's input size is multiplied by each. flip: each is seen mirrored as well.
    depth_holes: share of the pixels with depth that lose it, chosen by ``seed`` and the frame's name.
    boundary_ratio: width of the boundary as a share of the image's diagonal; None: boundaries uncounted.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    depth_holes: float = 0.0
    seed: int = 0
    boundary_ratio: float | None = None

    def __post_init__(self) -> None:
        if not self.scales:
            raise ConfigError("scales: there are none; give one or more, e.g. 1.0")
        wrong = next((scale for scale in self.scales if not (math.isfinite(scale) and scale > 0)), None)
        if wrong is not None:
            raise ConfigError(f"scales: {wrong:g} is no scale; each must be above 0, as in 0.75 1.0 1.25")
        if not 0 <= self.depth_holes <= 1:
            raise ConfigError(f"depth holes: {self.depth_holes:g} is no share; it is within 0 to 1")
        if self.seed < 0:
            raise ConfigError(f"seed: {self.seed} is below 0; it must be 0 or more")
        if self.boundary_ratio is not None and not 0 < self.boundary_ratio <= 1:
            raise ConfigError(f"boundary ratio: {self.boundary_ratio:g} is not above 0 and at most 1")

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "scales": list(self.scales)}

    def __str__(self) -> str:
        """What differs from a plain look at each frame; empty where nothing does."""
        told = []
        if self.scales != (1.0,):
            told.append("scales " + " ".join(f"{scale:g}" for scale in self.scales))
        if self.flip:
            told.append("mirrored too")
        if self.depth_holes:
            told.append(f"{100 * self.depth_holes:g} % of the depth missing (seed {self.seed})")
        return ", ".join(told)
