"""The network as the node needs it, and how it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import asymfusion_ros
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.data.label_groups import read_label_groups
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.data.size_text import size_of
from asymfusion_ros.engine.backends import Backend
from asymfusion_ros.engine.backends.beside import BesideBackend
from asymfusion_ros.engine.engine_file import EngineModel
from asymfusion_ros.engine.exported import ExportedModel
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.label_rules import LabelRules
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.runner import FrameRunner
from asymfusion_ros.engine.segmenter import Wanted
from asymfusion_ros.ros.settings import NodeSettings

WARM_UP_SIZE = (480, 640)  # height and width of the images that most cameras send


class HostCopy(Protocol):
    """What a network gives: an asymfusion_ros.engine.Result or Translation."""

    def numpy(self) -> Any:
        """The same on the host: an asymfusion_ros.engine.HostResult or HostTranslation."""


class Network(Protocol):
    """What every node needs of its network, an asymfusion_ros.engine.FrameRunner."""

    @property
    def checkpoint(self) -> ModelDescription:
        """What it was loaded from."""

    @property
    def backend(self) -> Backend:
        """What runs it."""


class MaskNetwork(Network, Protocol):
    """What the node `segmentation` needs of an asymfusion_ros.Segmenter."""

    @property
    def label_set(self) -> LabelSet:
        """What its labels mean: the checkpoint's classes, or groups of them."""

    @property
    def unlabeled(self) -> tuple[str, ...]:
        """The checkpoint's classes that have no label."""

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


def load_network(settings: NodeSettings) -> MaskNetwork:
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
    if settings.input_size:
        width, height = size_of(settings.input_size, "parameter input_size")
        segmenter = segmenter.at_input_size(height, width)
    classes = segmenter.checkpoint.labels
    groups = read_label_groups(settings.label_groups, classes) if settings.label_groups else None
    segmenter.rules = LabelRules(groups, lambda: settings.confidence_threshold, segmenter.device)
    warm_up(segmenter, len(settings.cameras))
    return segmenter


def warm_up(runner: FrameRunner, cameras: int) -> None:
    """Frames as they will come: of the size that an export is for, else of WARM_UP_SIZE."""
    model = runner.checkpoint
    if isinstance(model, (ExportedModel, EngineModel)):
        size = model.size
    else:
        size = runner.backend.size if isinstance(runner.backend, BesideBackend) else WARM_UP_SIZE
    runner.warm_up(*size, batch_size(runner.backend, cameras))
