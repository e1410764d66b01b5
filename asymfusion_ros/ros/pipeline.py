"""One camera from its topics to its outputs. A node has one of them, or one for each of its cameras.

With a name, the camera's inputs are ``NAME/rgb/image_rect_color`` and so on, its outputs ``~/NAME/mask``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.ros.camera import Camera
from asymfusion_ros.ros.frame_segmenter import FrameSegmenter
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.network import Network
from asymfusion_ros.ros.outputs.base import Output, Publishers
from asymfusion_ros.ros.scene import Frame
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.status import Fault, Level, Report


class Pipeline:
    """See the module's description. ``name``: the camera's, empty for a node's only one. ``outputs``: what is
    published of it; its publishers live until ``close``.

    Attributes: ``name``; ``counters``; ``log``; ``publishers``; ``camera``, while it is open.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        settings: NodeSettings,
        outputs: Sequence[Output],
        counters: Counters,
        log: ThrottledLog,
    ) -> None:
        self.name = name
        self.counters = counters
        self.log = log
        self.publishers = Publishers(node, outputs, name)
        self.camera: Camera | None = None
        self._node = node
        self._settings = settings

    def open(self, network: Network, on_frame: Callable[[str, Frame], Any]) -> FrameSegmenter:
        """Subscribes: ``on_frame(name, frame)`` gets each frame. Returns what it goes through then."""
        self.log.forget()
        checkpoint = network.checkpoint
        modalities = [
            in_namespace(checkpoint.input_spec.modality(name), self.name)
            for name in checkpoint.config.modalities
        ]
        self.camera = Camera(
            self._node, modalities, self._settings, self.counters, self.log, partial(on_frame, self.name)
        )
        topics = {name: source.topic for name, source in self.camera.inputs.items()}
        return FrameSegmenter(network, modalities, self.publishers, topics, self.counters, self.log)

    def settings_changed(self) -> None:
        """Goes by the values that live parameters have now."""
        if self.camera is not None:
            self.camera.settings_changed()

    def stop(self) -> None:
        """Unsubscribes; no frame comes afterwards."""
        if self.camera is not None:
            self.camera.close()
        self.camera = None

    def report(self, now: float) -> Report:
        """The camera's part of the node's status."""
        lines = [] if self.camera is None else self.camera.faults(now).values()
        return Report(tuple(Fault(Level.WARN, line) for line in lines), self.counters.to_dict())

    def close(self) -> None:
        """Takes the camera's topics off the graph."""
        self.stop()
        self.publishers.close()


def in_namespace(modality: Modality, name: str) -> Modality:
    """The modality with its topic under a camera's name; as it is where that is empty."""
    return replace(modality, topic=f"{name}/{modality.topic}") if name else modality  # type: ignore[type-var]
