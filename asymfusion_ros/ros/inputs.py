"""One image topic: its subscription, and the QoS that follows its publishers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

from asymfusion_ros.ros.qos import input_profile, matching_reliability

IMAGE_TYPE = "sensor_msgs/msg/Image"


class ImageInput:
    """A subscription to ``topic`` (relative: it can be remapped) that calls ``on_message``."""

    def __init__(self, node: Node, topic: str, on_message: Callable[[Image], None]) -> None:
        self._node = node
        self._on_message = on_message
        self.topic: str = node.resolve_topic_name(topic)
        self._relative_topic = topic
        self.reliability = ReliabilityPolicy.BEST_EFFORT
        self._subscription: Any = self._subscribe()

    def _subscribe(self) -> Any:
        profile = input_profile(self.reliability)
        return self._node.create_subscription(Image, self._relative_topic, self._on_message, profile)

    def follow_publishers(self) -> bool:
        """Subscribes anew where the publishers now offer another reliability; True where it did."""
        # Publishers of another type than Image can't be received from, whatever they offer.
        offered = [p.qos_profile.reliability for p in self._publishers() if p.topic_type == IMAGE_TYPE]
        wanted = matching_reliability(offered)
        if wanted == self.reliability:
            return False
        self.reliability = wanted
        self._node.destroy_subscription(self._subscription)
        self._subscription = self._subscribe()
        return True

    def advice(self) -> str:
        """What to do about the topic's silence, from who publishes it now."""
        publishers = self._publishers()
        types = sorted({publisher.topic_type for publisher in publishers} - {IMAGE_TYPE})
        if not publishers:
            return "nobody publishes it: start the camera, or remap the topic (see `ros2 topic list`)"
        if types and not any(publisher.topic_type == IMAGE_TYPE for publisher in publishers):
            return f"it carries {', '.join(types)}, not {IMAGE_TYPE}: remap to a raw image topic"
        return (
            "it has a publisher, but nothing arrives: is the camera streaming (see `ros2 topic hz`), and do "
            "large messages get through (see config/fastdds_large_images.xml)?"
        )

    def _publishers(self) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self.topic))

    def close(self) -> None:
        self._node.destroy_subscription(self._subscription)
