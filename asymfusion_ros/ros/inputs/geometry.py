"""The topics from which a camera's geometry is known."""

from __future__ import annotations

from collections.abc import Sequence

from rclpy.node import Node

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.segmenter import reference_name
from asymfusion_ros.messages.geometry import FrameGeometry, is_rectified
from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.ros.inputs.camera_info import CameraInfoInput
from asymfusion_ros.ros.inputs.transforms import StaticTransforms
from asymfusion_ros.ros.log import ThrottledLog


class CameraGeometry(FrameGeometry):
    """The camera_info topics of a camera's images, and the transforms between them.

    They are served in the executor's thread; ``of`` is called in the inference thread. What is lacking where
    it is needed is a fault, which ``log`` gets once.
    """

    def __init__(
        self, node: Node, modalities: Sequence[Modality], settings: CommonSettings, log: ThrottledLog
    ) -> None:
        given = settings.given_transform()
        depths = [modality.name for modality in modalities if modality.kind == "range"]
        names = {*depths, reference_name({modality.name: None for modality in modalities})}
        self._topics = {
            modality.name: CameraInfoInput(
                node,
                modality.topic,
                is_rectified(settings.rectified, modality.name, node.resolve_topic_name(modality.topic)),
                log,
            )
            for modality in modalities
            if modality.name in names
        }
        wanted = given is None and len(names) > 1
        self._tf = StaticTransforms(node, log) if wanted else None
        super().__init__(depths, self._topics, given, self._tf, log)

    def close(self) -> None:
        """Unsubscribes."""
        for info in self._topics.values():
            info.close()
        if self._tf is not None:
            self._tf.close()

    def follow_publishers(self) -> None:
        """To be called once in a while, in the executor's thread."""
        for info in self._topics.values():
            info.follow_publishers()

    def log_faults(self, now: float) -> None:
        """Logs each fault once."""
        for what, line in self.faults(now).items():
            self._log.warning_once((what, "geometry"), line)
