"""One image topic: its subscription, and the QoS that follows its publishers."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import Image

from asymfusion_ros.ros.qos import INPUT_DEPTH, input_profile, matching_reliability

IMAGE_TYPE = "sensor_msgs/msg/Image"


class ImageInput:
    """A subscription to ``topic`` (relative: it can be remapped) that calls ``on_message``.

    Its reliability can't be changed in place. So a new subscription takes over from the old one, which stays
    until the new one has been heard: nothing that is sent in between is lost, or taken in twice.
    """

    def __init__(self, node: Node, topic: str, on_message: Callable[[Image], None]) -> None:
        self._node = node
        self._relative_topic = topic
        self._on_message = on_message
        self.topic: str = node.resolve_topic_name(topic)
        self.reliability = self._wanted_reliability(matching_reliability([]))
        self._generation = 0
        self._current: Any = self._subscribe()
        self._retiring: Any = None
        self._current_heard = False
        # Stamps taken in while there are two subscriptions.
        self._taken: deque[tuple[int, int]] = deque(maxlen=4 * INPUT_DEPTH)

    def follow_publishers(self) -> str | None:
        """Subscribes anew where the publishers now offer another reliability, and says so; None elsewhere.

        To be called once in a while, at intervals in which an image that has arrived is also taken in.
        """
        if self._retiring is None:
            # Kept for an interval after the old subscription: the new one may still have held copies.
            self._taken.clear()
        elif self._current_heard:
            self._drop_retiring()
        wanted = self._wanted_reliability(self.reliability)
        if wanted == self.reliability:
            return None
        if self._retiring is not None:
            self._drop_retiring()
        self.reliability = wanted
        self._retiring, self._current_heard = self._current, False
        self._generation += 1
        self._current = self._subscribe()
        name = "reliable" if wanted == ReliabilityPolicy.RELIABLE else "best effort"
        return f"subscribed {name}, as its publishers offer"

    def advice(self) -> str:
        """What to do about the topic's silence, from who publishes it now."""
        types = {publisher.topic_type for publisher in self._publishers()}
        if not types:
            return "nobody publishes it: start the camera, or remap the topic (see `ros2 topic list`)"
        if IMAGE_TYPE not in types:
            return f"it carries {', '.join(sorted(types))}, not {IMAGE_TYPE}: remap to a raw image topic"
        return (
            "it has a publisher, but nothing arrives: is the camera streaming (see `ros2 topic hz`), and do "
            "large messages get through (see config/fastdds_large_images.xml)?"
        )

    def close(self) -> None:
        self._node.destroy_subscription(self._current)
        if self._retiring is not None:
            self._node.destroy_subscription(self._retiring)

    def _subscribe(self) -> Any:
        receive = functools.partial(self._receive, self._generation)
        profile = input_profile(self.reliability)
        return self._node.create_subscription(Image, self._relative_topic, receive, profile)

    def _receive(self, generation: int, message: Image) -> None:
        if generation == self._generation:
            self._current_heard = True
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        if stamp in self._taken:
            return
        if self._retiring is not None:
            self._taken.append(stamp)
        self._on_message(message)

    def _drop_retiring(self) -> None:
        self._node.destroy_subscription(self._retiring)
        self._retiring = None

    def _wanted_reliability(self, unpublished: ReliabilityPolicy) -> ReliabilityPolicy:
        """What suits the publishers of now; ``unpublished`` where there are none."""
        # From publishers of another type nothing can be received, whatever they offer.
        offers = [
            publisher.qos_profile.reliability
            for publisher in self._publishers()
            if publisher.topic_type == IMAGE_TYPE
        ]
        return matching_reliability(offers) if offers else unpublished

    def _publishers(self) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self.topic))
