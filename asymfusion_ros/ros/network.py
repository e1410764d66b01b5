"""The network as the node needs it, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import asymfusion_ros
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.engine.backends import Backend
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import HostResult
from asymfusion_ros.ros.settings import NodeSettings

WARM_UP_SIZE = (480, 640)  # height and width of the images that most cameras send


class HostCopy(Protocol):
    """What a network gives: an asymfusion_ros.engine.Result."""

    def numpy(self) -> HostResult:
        """The labels and confidence on the host."""


class Network(Protocol):
    """What the node needs of an asymfusion_ros.Segmenter."""

    @property
    def checkpoint(self) -> ModelDescription:
        """What it was loaded from."""

    @property
    def backend(self) -> Backend:
        """What runs it."""

    def segment(
        self,
        given: Mapping[str, RawImage],
        confidence: bool = True,
        disagreement: bool = False,
        geometry: Geometry | None = None,
    ) -> HostCopy:
        """Labels, and where wanted their confidence, the modalities' disagreement and points, of the images
        by modality. Raises ImageError."""


def load_network(settings: NodeSettings) -> Network:
    """The checkpoint as an asymfusion_ros.Segmenter, ready to run at full speed. Raises UserError."""
    segmenter = asymfusion_ros.Segmenter.from_checkpoint(
        settings.checkpoint, device=settings.device, precision=settings.precision
    )
    segmenter.warm_up(*WARM_UP_SIZE)
    return segmenter
