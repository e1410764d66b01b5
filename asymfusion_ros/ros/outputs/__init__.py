"""What the node publishes for each segmented frame. A new topic is a class and a line in OUTPUTS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asymfusion_ros.ros.outputs.base import Output
from asymfusion_ros.ros.outputs.cloud import Points
from asymfusion_ros.ros.outputs.disagreement import DisagreementImage
from asymfusion_ros.ros.outputs.images import ColorMask, Confidence, Mask, Overlay
from asymfusion_ros.ros.settings import NodeSettings

# Each is made with the settings when the node is configured.
OUTPUTS: tuple[Callable[[NodeSettings], Output], ...] = (
    Mask,
    Confidence,
    ColorMask,
    Overlay,
    DisagreementImage,
    Points,
)


def outputs(settings: NodeSettings, made: Sequence[Callable[[NodeSettings], Output]]) -> list[Output]:
    """Those of ``made`` that are not switched off: ``publish_mask`` is for ~/mask, and so on."""
    found = [make(settings) for make in made]
    return [one for one in found if getattr(settings, f"publish_{one.topic.removeprefix('~/')}", True)]
