"""How a recording's images are read and paired: the node's parameters of the same names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asymfusion_ros.data.transform import Transform


@dataclass(frozen=True)
class ReadOptions:
    """slop, queue_size, missing_after, rectified: the node's parameters, whose defaults these are (a test
    holds them equal). depth_to_rgb: None to take it from /tf_static. topics: of modalities, by name; those
    that are not there are guessed. labels: the topic of the labels, if any. seconds: of the recording, from
    its first image; None for all of it.
    """

    slop: float = 0.015
    queue_size: int = 10
    missing_after: float = 0.0
    rectified: str = "auto"
    depth_to_rgb: Transform | None = None
    topics: Mapping[str, str] = field(default_factory=dict)
    labels: str | None = None
    seconds: float | None = None
