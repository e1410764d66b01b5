"""What the node publishes for each segmented frame. A new topic is a class and a line in OUTPUTS."""

from __future__ import annotations

from collections.abc import Callable

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
