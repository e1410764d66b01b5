"""How a split is scored."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.settings import check_limits, setting


@dataclass(frozen=True)
class ScoringSettings:
    """Raises ConfigError for a value that is impossible."""

    scales: tuple[float, ...] = setting((1.0,), "input sizes to average over, as factors")
    flip: bool = setting(False, "average over mirror images too")
    depth_holes: float = setting(
        0.0, "take this share of each frame's depth away, in blobs and along edges", minimum=0, maximum=1
    )
    seed: int = setting(0, "of the depth holes and the bootstrap", minimum=0)
    boundary_ratio: float | None = setting(
        None, "width of the boundaries of boundary IoU, of the image's diagonal", above=0, maximum=1
    )

    def __post_init__(self) -> None:
        check_limits(self, "scoring: ")
        wrong = next((scale for scale in self.scales if not (math.isfinite(scale) and scale > 0)), None)
        if not self.scales or wrong is not None:
            raise ConfigError(
                f"scoring: scales has {wrong}; give one or more, each above 0, as 0.75 1.0 1.25"
            )

    @property
    def several_views(self) -> bool:
        """Whether a frame is looked at more than once, or at another size than the engine's."""
        return self.scales != (1.0,) or self.flip

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**asdict(self), "scales": list(self.scales)}

    def __str__(self) -> str:
        """What differs from a plain look at each frame; empty where nothing does."""
        different = []
        if self.scales != (1.0,):
            different.append("scales " + " ".join(f"{scale:g}" for scale in self.scales))
        if self.flip:
            different.append("mirrored too")
        if self.depth_holes:
            different.append(f"{100 * self.depth_holes:g} % of the depth missing (seed {self.seed})")
        return ", ".join(different)
