"""The network as the node needs it, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import asymfusion_ros
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.data.label_groups import read_label_groups
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.backends import Backend
from asymfusion_ros.engine.engine_file import EngineModel
from asymfusion_ros.engine.exported import ExportedModel
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.label_rules import LabelRules
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import HostResult, Wanted
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
    def label_set(self) -> LabelSet:
        """What its labels mean: the checkpoint's classes, or groups of them."""

    @property
    def unlabeled(self) -> tuple[str, ...]:
        """The checkpoint's classes that have no label."""

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

    def segment_batch(self, frames: Sequence[tuple[Mapping[str, RawImage], Wanted]]) -> Sequence[HostCopy]:
        """The same for several frames at once."""


def batch_size(backend: Backend, cameras: int) -> int:
    """How many frames to segment together. A CPU is no faster at several than at one after the other, and an
    exported network takes one.
    """
    if cameras == 1 or backend.device.type == "cpu" or backend.name != "torch":
        return 1
    return cameras


def load_network(settings: NodeSettings) -> Network:
    """The checkpoint as an asymfusion_ros.Segmenter, ready to run at full speed. Raises UserError.

    It goes by the label_groups of now, and by the confidence_threshold that ``settings`` have at each frame.
    """
    segmenter = asymfusion_ros.Segmenter.from_checkpoint(
        settings.checkpoint,
        device=settings.device,
        precision=settings.precision,
        backend=settings.backend,
        cpu_fallback=settings.cpu_fallback,
        threads=settings.threads,
    )
    classes = segmenter.checkpoint.labels
    groups = read_label_groups(settings.label_groups, classes) if settings.label_groups else None
    segmenter.rules = LabelRules(groups, lambda: settings.confidence_threshold, segmenter.device)
    model = segmenter.checkpoint
    size = model.size if isinstance(model, (ExportedModel, EngineModel)) else WARM_UP_SIZE
    segmenter.warm_up(*size, batch_size(segmenter.backend, len(settings.cameras)))
    return segmenter
