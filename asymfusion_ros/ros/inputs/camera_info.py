"""The camera_info beside an image topic: the latest one, as a CameraModel."""

from __future__ import annotations

import traceback
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from asymfusion_ros.messages.camera_info import LatestCameraInfo
from asymfusion_ros.messages.fields import CameraInfoMessage
from asymfusion_ros.ros.log import ThrottledLog


def beside(image_topic: str) -> str:
    """``rgb/image_rect_color`` -> ``rgb/camera_info``, as image_transport names it."""
    namespace, slash, _ = image_topic.rpartition("/")
    return f"{namespace}{slash}camera_info"


class CameraInfoInput(LatestCameraInfo):
    """Subscribes to the camera_info of an image topic and keeps the newest.

    Its topic is ``camera_info`` in the image topic's namespace (``rgb/camera_info``), relative: where that is
    remapped, what it is remapped to; else the one beside what the image topic is remapped to. ``rectified``:
    whether the images are, so that P holds for them. ``log`` gets a line where the calibration changes.

    ``topic`` is resolved. Written in the executor's thread, read in any.
    """

    advice = f"start it, or remap {beside('image')} of this camera"

    def __init__(self, node: Node, image_topic: str, rectified: bool, log: ThrottledLog) -> None:
        self._node = node
        self._callback_log = log
        relative = beside(image_topic)
        remapped = node.resolve_topic_name(relative)
        if remapped != node.resolve_topic_name(relative, only_expand=True):
            topic, self._name = remapped, relative
        else:
            topic = self._name = beside(node.resolve_topic_name(image_topic))
        super().__init__(topic, rectified, log)
        self._latched = self._is_latched()
        self._subscription: Any = self._subscribe()

    def follow_publishers(self) -> None:
        """Subscribes anew where all publishers now keep their last message for late subscribers, or no longer
        do; to be called once in a while."""
        latched = self._is_latched()
        if latched != self._latched:
            self._latched = latched
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()

    def close(self) -> None:
        """Unsubscribes."""
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self) -> Any:
        # Best effort and volatile, which any publisher satisfies; a message that was published once, before
        # this node was there, comes only to who asks for it.
        durability = DurabilityPolicy.TRANSIENT_LOCAL if self._latched else DurabilityPolicy.VOLATILE
        reliability = ReliabilityPolicy.RELIABLE if self._latched else ReliabilityPolicy.BEST_EFFORT
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability, durability=durability
        )
        return self._node.create_subscription(CameraInfo, self._name, self._receive, profile)

    def _is_latched(self) -> bool:
        offers = [publisher.qos_profile for publisher in self._node.get_publishers_info_by_topic(self.topic)]
        return bool(offers) and all(
            offer.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and offer.reliability == ReliabilityPolicy.RELIABLE
            for offer in offers
        )

    def _receive(self, message: CameraInfoMessage) -> None:
        try:
            self.take(message)
        except Exception:
            self._callback_log.error(self.topic, f"a camera_info was lost:\n{traceback.format_exc()}")
