"""The recipe's section ``data``: which frames there are, and the random changes to those to train on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.settings import check_limits, setting

CHANCE: dict[str, Any] = {"minimum": 0, "below": 1}


@dataclass(frozen=True)
class DataSettings:
    """Raises ConfigError for a value that is impossible."""

    train_split: str = setting("train", "the frames to train on, of DIR/NAME.txt")
    val_split: str = setting("val", "the frames to score on")
    scale: tuple[float, float] = setting(
        (0.75, 1.75), "smallest and largest random zoom, relative to the network's input size"
    )
    scale_law: str = setting(
        "log",
        "zooms are drawn evenly on a log scale (as often twice as large as half), or uniformly",
        choices=("log", "uniform"),
    )
    shortest: int = setting(0, "pixels that the zoomed frame's shorter side has at least", minimum=0)
    crop: tuple[int, int] | None = setting(
        None, "[height, width] of the training windows; null: the network's input size"
    )
    colours: float = setting(1.0, "strength of the random colours, 0 for none", minimum=0, maximum=2)
    blur: float = setting(0.0, "chance of a frame whose colours are blurred", **CHANCE)
    cutout: float = setting(
        0.0,
        "chance of a frame with 1 to 3 rectangles cut out of one modality or all; the label stays",
        **CHANCE,
    )
    copy_paste: float = setting(
        0.0,
        "chance of a frame of which 1 to 3 objects are copied to another place of their rows, rare classes "
        "more often, behind what is nearer",
        **CHANCE,
    )
    class_crops: float = setting(
        0.0,
        "chance of a window that has a pixel of a class drawn from those of the frame, each as likely",
        **CHANCE,
    )
    depth_holes: float = setting(0.3, "chance of a frame whose depth gets holes", **CHANCE)
    depth_noise: float = setting(
        0.5, "chance of a frame whose depth gets ragged edges, noise and quantisation", **CHANCE
    )

    def __post_init__(self) -> None:
        check_limits(self, "recipe: ")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError(f"recipe: scale {self.scale} must be [smallest, largest], both above 0")
        if self.crop is not None and min(self.crop) < 64:
            raise ConfigError(f"recipe: crop {self.crop} must be [height, width], 64 or more each")
