"""What a node publishes for each frame. A new topic is a class and a line in OUTPUTS, or of translation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.ros.outputs.base import Output
from asymfusion_ros.ros.outputs.cloud import Points
from asymfusion_ros.ros.outputs.disagreement import DisagreementImage
from asymfusion_ros.ros.outputs.images import ColorMask, Confidence, Mask, Overlay
from asymfusion_ros.ros.outputs.translated import TranslatedImage

# Each is made with the settings when the node is configured.
OUTPUTS: tuple[Callable[[Any], Output], ...] = (
    Mask,
    Confidence,
    ColorMask,
    Overlay,
    DisagreementImage,
    Points,
)
TRANSLATION_OUTPUTS: tuple[Callable[[Any], Output], ...] = (TranslatedImage,)


def outputs(settings: CommonSettings, made: Sequence[Callable[[Any], Output]]) -> list[Output]:
    """Those of ``made`` that are not switched off: ``publish_mask`` is for ~/mask, and so on."""
    found = [make(settings) for make in made]
    return [one for one in found if getattr(settings, f"publish_{one.topic.removeprefix('~/')}", True)]
