"""What a node does with frames: the seam between the streams, which every node shares, and one network's use.

A node is made of a NodeTask; each of its cameras has a FrameTask of it. See segmentation.py, translation.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rclpy.lifecycle import LifecycleNode

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.messages.fields import Header, Message
from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.network import HostCopy, Network
from asymfusion_ros.ros.outputs.base import Output
from asymfusion_ros.stream.status import Report


@dataclass(frozen=True)
class Words:
    """How the log and /diagnostics speak of it. done: what becomes of a frame (``segmented``), which is also
    the name of their count. outputs: what comes out (``masks``)."""

    done: str
    outputs: str


class FrameTask(Protocol):
    """Of one camera, while it is open. All but ``report`` is called in the inference thread."""

    def report(self, now: float) -> Report:
        """Its part of the node's status; see stream/status.py."""

    def wanted(self, needs: frozenset[str], images: Mapping[str, RawImage], geometry: Geometry | None) -> Any:
        """What to ask the network for. needs: the fields of the result that outputs are made from."""

    def seen(self, images: Mapping[str, RawImage], wanted: Any, result: Any) -> None:
        """Looks at the result of a frame, before it is published."""

    def scene(
        self,
        header: Header,
        images: Mapping[str, RawImage],
        modalities: Mapping[str, Modality],
        result: Any,
        camera_info: Message | None,
    ) -> Any:
        """What the outputs make their messages of."""


class NodeTask(Protocol):
    """Of one node.

    name: the node's, and that of its status in /diagnostics. outputs: what makes each output topic, with the
    settings.
    """

    @property
    def name(self) -> str:
        """``segmentation``."""

    @property
    def words(self) -> Words:
        """How its frames and outputs are called."""

    @property
    def settings(self) -> type[CommonSettings]:
        """The class of its parameters."""

    @property
    def outputs(self) -> Sequence[Callable[[Any], Output]]:
        """Its output topics."""

    def prepare(self, settings: Any, log: Any) -> None:
        """Before the network is loaded; ``log`` is the node's logger."""

    def load(self, settings: Any, /) -> Network:
        """The network, in the thread that will run it. Raises UserError."""

    def configured(self, node: LifecycleNode, network: Any) -> str:
        """After it is loaded. Returns what it is, for the log."""

    def activated(self, header: Header, network: Any) -> None:
        """As the node becomes active."""

    def frame_task(
        self, network: Any, settings: Any, node_log: Callable[[str], object], log: ThrottledLog
    ) -> FrameTask:
        """For a camera. node_log: a line of the node's log; log: the camera's own."""

    def infer(self, network: Any, images: Mapping[str, RawImage], wanted: Any) -> HostCopy:
        """A frame through the network."""

    def infer_batch(self, network: Any, frames: Sequence[tuple[Any, Any]]) -> Sequence[HostCopy]:
        """Several frames, each with what is wanted of it."""
