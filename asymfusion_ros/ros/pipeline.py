"""One camera from its topics to its outputs. A node has one of them, or one for each of its cameras.

With a name, the camera's inputs are ``NAME/rgb/image_rect_color`` and so on, its outputs ``~/NAME/mask``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.messages.stamped_image import Frame
from asymfusion_ros.ros.camera import Camera
from asymfusion_ros.ros.camera_status import CameraStatus
from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.ros.debug_topics import DebugTopics
from asymfusion_ros.ros.frame_meter import FrameMeter
from asymfusion_ros.ros.frame_processor import FrameProcessor
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.network import Network
from asymfusion_ros.ros.node_status import NodeStatus
from asymfusion_ros.ros.node_task import NodeTask
from asymfusion_ros.ros.outputs.base import Output, Publishers
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.latency_limit import LatencyLimit
from asymfusion_ros.stream.status import StatusParts


class Pipeline:
    """See the module's description. ``task``: the node's. ``name``: the camera's, empty for a node's
    only one. ``outputs``: what is published of it; its publishers live until ``close``.

    Attributes: ``name``; ``counters``; ``log``; ``publishers``; ``camera``, while it is open.
    """

    def __init__(
        self,
        node: LifecycleNode,
        task: NodeTask,
        name: str,
        settings: CommonSettings,
        outputs: Sequence[Output],
        counters: Counters,
        log: ThrottledLog,
        debug: DebugTopics,
    ) -> None:
        self.name = name
        self.counters = counters
        self.log = log
        self.publishers = Publishers(node, outputs, name)
        self.camera: Camera | None = None
        self._node = node
        self._task = task
        self._settings = settings
        self._debug = debug
        self._remove_part: Callable[[], None] = _nothing

    def open(
        self,
        network: Network,
        status: NodeStatus,
        parts: StatusParts,
        on_frame: Callable[[str, Frame], Any],
    ) -> FrameProcessor:
        """Subscribes: ``on_frame(name, frame)`` gets each frame. Returns what it goes through then. The
        camera reports to ``status`` and ``parts``, where it has a name as a task of its own.
        """
        self.log.forget()
        settings, checkpoint = self._settings, network.checkpoint
        modalities = [
            in_namespace(checkpoint.input_spec.modality(name), self.name)
            for name in checkpoint.config.modalities
        ]
        self.camera = Camera(
            self._node, modalities, settings, self.counters, self.log, partial(on_frame, self.name)
        )
        frame_task = self._task.frame_task(network, settings, self._node.get_logger().info, self.log)
        parts.add(frame_task.report, self.name or None)
        self._remove_part = partial(parts.remove, frame_task.report)
        limit = LatencyLimit(settings.max_latency_ms, settings.consecutive)
        clock = self._node.get_clock()
        meter = FrameMeter(lambda: clock.now().nanoseconds, self.counters, limit, self._debug)
        watched = CameraStatus(self.camera, meter, settings, self._task.words, time.monotonic())
        status.watch(watched, settings.status_period, self.name or None)
        return FrameProcessor(
            frame_task,
            self._task.words,
            modalities,
            self.publishers,
            {name: source.topic for name, source in self.camera.inputs.items()},
            self.camera.geometry,
            self.counters,
            self.log,
            meter,
        )

    def settings_changed(self) -> None:
        """Goes by the values that live parameters have now."""
        if self.camera is not None:
            self.camera.settings_changed()

    def stop(self) -> None:
        """Unsubscribes; no frame comes afterwards."""
        if self.camera is not None:
            self.camera.close()
        self.camera = None
        self._remove_part()
        self._remove_part = _nothing

    def close(self) -> None:
        """Takes the camera's topics off the graph."""
        self.stop()
        self.publishers.close()


def _nothing() -> None:
    """Where no part of the status is to be removed."""


def in_namespace(modality: Modality, name: str) -> Modality:
    """The modality with its topic under a camera's name; as it is where that is empty."""
    return replace(modality, topic=f"{name}/{modality.topic}") if name else modality  # type: ignore[type-var]
