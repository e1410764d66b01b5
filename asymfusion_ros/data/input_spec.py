"""From camera pixels to the network's input: one definition for training, evaluation and the robot.

All of it is torch, so that it runs wherever the frame is. A checkpoint carries its InputSpec.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.settings import checked

GRANULE = 8  # network sizes are multiples of this: odd ones waste time in padding and are no better


@dataclass(frozen=True)
class InputSpec:
    """How RGB and depth become the network's inputs.

    height, width: the size a frame of that aspect ratio is resized to. A frame of another aspect ratio
    keeps its own, at about the same number of pixels, so that nothing is stretched and speed stays.
    rgb_mean, rgb_std: of R, G and B on the scale 0 to 255.
    depth_mean, depth_std: metres. Depth beyond depth_max (metres) counts as depth_max.
    depth_invalid: what a pixel without depth (zero, negative, NaN, Inf) becomes, after normalisation.
    Depth is repeated into the three channels that the shared first convolution takes.
    """

    height: int = 240
    width: int = 320
    rgb_mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    rgb_std: tuple[float, float, float] = (58.395, 57.12, 57.375)
    depth_mean: float = 2.7
    depth_std: float = 1.4
    depth_max: float = 10.0
    depth_invalid: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rgb_mean", "rgb_std"):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) != 3:
                raise ConfigError(f"input: {name} has {len(values)} values; it needs one each for R, G and B")
            object.__setattr__(self, name, values)
        if not all(side >= GRANULE and side % GRANULE == 0 for side in (self.height, self.width)):
            raise ConfigError(
                f"input: height {self.height} and width {self.width} must be multiples of {GRANULE}"
            )
        for name in ("depth_std", "depth_max"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"input: {name} is {getattr(self, name)}; it must be positive")
        if not all(value > 0 for value in self.rgb_std):
            raise ConfigError(f"input: rgb_std is {self.rgb_std}; all of it must be positive")

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) that a frame of this size is resized to."""
        if height * self.width == width * self.height:
            return self.height, self.width
        scale = math.sqrt(self.height * self.width / (height * width))
        return tuple(max(GRANULE, round(side * scale / GRANULE) * GRANULE) for side in (height, width))  # type: ignore[return-value]

    def rgb(self, image: Tensor, size: tuple[int, int]) -> Tensor:
        """N x 3 x H x W, RGB of 0 to 255 in any dtype -> N x 3 x size, float32, normalised."""
        x = image.float()
        if x.shape[-2:] != size:
            x = F.interpolate(x, size, mode="bilinear", antialias=True)
        mean = x.new_tensor(self.rgb_mean).view(1, 3, 1, 1)
        std = x.new_tensor(self.rgb_std).view(1, 3, 1, 1)
        return (x - mean) / std

    def depth(self, metres: Tensor, size: tuple[int, int]) -> Tensor:
        """N x 1 x H x W float metres -> N x 3 x size, float32, normalised.

        Resized by nearest neighbour: a mean across an object's edge would be a surface that is not there.
        """
        x = metres
        if x.shape[-2:] != size:
            x = F.interpolate(x, size, mode="nearest-exact")
        x = x.float()
        valid = torch.isfinite(x) & (x > 0)
        normalised = (x.clamp(max=self.depth_max) - self.depth_mean) / self.depth_std
        return torch.where(valid, normalised, self.depth_invalid).expand(-1, 3, -1, -1)

    def to_dict(self) -> dict[str, Any]:
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputSpec:
        """Raises ConfigError for a setting that is unknown, of another type, or impossible."""
        return cls(**checked(cls, values, "input"))
