"""One image topic: its subscription, and the QoS that follows its publishers."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import ReliabilityPolicy

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.messages.fields import Message
from asymfusion_ros.messages.stamped_image import StampedImage
from asymfusion_ros.ros.inputs.transports import Transport, others_of, parameter_of
from asymfusion_ros.ros.qos import INPUT_DEPTH, input_profile, matching_reliability


class ImageInput:
    """A subscription to the topic of a modality (relative: it can be remapped) that calls ``on_message``.

    Its reliability can't be changed in place. So a new subscription takes over from the old one, which stays
    until the new one has received an image: nothing that is sent in between is lost, or passed on twice.

    Attributes: ``topic``, resolved; ``reliability``, that of the newest subscription.
    """

    def __init__(
        self, node: Node, modality: Modality, transport: Transport, on_message: Callable[[Message], None]
    ) -> None:
        self._node = node
        self._modality = modality
        self._transport = transport
        self._on_message = on_message
        # As image_transport does: the image topic is remapped, and a suffix follows it. A resolved name is
        # subscribed to only where there is one: rules that swap two topics would change it back.
        self._base = node.resolve_topic_name(modality.topic)
        self.topic = self._base + transport.suffix
        self._name = self.topic if transport.suffix else modality.topic
        self._type_name = _type_name(transport.message_type)
        self.reliability = self._wanted_reliability(matching_reliability([]))
        self._generation = 0
        self._current: Any = self._subscribe()
        self._retiring: Any = None
        self._current_has_received = False
        # Stamps passed on while there are two subscriptions.
        self._passed_on: deque[tuple[int, int]] = deque(maxlen=4 * INPUT_DEPTH)

    @property
    def changed_over(self) -> bool:
        """Whether the newest subscription has received an image, so that an older one may go."""
        return self._current_has_received

    def decode(self, message: Message) -> StampedImage:
        """The image of a message of this topic. Raises ImageError where it cannot be used."""
        return self._transport.decode(message, self._modality)

    def publishers_changed(self) -> bool:
        """Whether the publishers now offer another reliability than is subscribed to."""
        return self._wanted_reliability(self.reliability) != self.reliability

    def follow_publishers(self) -> str | None:
        """Subscribes anew where the publishers now offer another reliability; returns a line for the log, or
        None where nothing changed.

        To be called once in a while, at intervals in which an image that has arrived is also passed on.
        """
        if self._retiring is None:
            # Kept for an interval after the old subscription: the new one may still have held copies.
            self._passed_on.clear()
        elif self._current_has_received:
            self._drop_retiring()
        wanted = self._wanted_reliability(self.reliability)
        if wanted == self.reliability:
            return None
        if self._retiring is not None:
            self._drop_retiring()
        self.reliability = wanted
        self._retiring, self._current_has_received = self._current, False
        self._generation += 1
        self._current = self._subscribe()
        name = "reliable" if wanted == ReliabilityPolicy.RELIABLE else "best effort"
        return f"subscribed {name}, as its publishers offer"

    def advice(self) -> str:
        """What to do about the topic's silence, from who publishes it now."""
        types = self._types(self.topic)
        if self._type_name not in types:
            found = "nobody publishes it"
            if types:
                found = f"it carries {', '.join(sorted(types))}, not {self._type_name}"
            if (elsewhere := self._elsewhere()) is not None:
                return found + elsewhere
            if types:
                return f"{found}: remap it to a topic of that type"
            return f"{found}: start the camera, or remap the topic (see `ros2 topic list`)"
        return (
            "it has a publisher, but nothing arrives: is the camera streaming (see `ros2 topic hz`), and do "
            "large messages get through (see config/fastdds_large_images.xml)?"
        )

    def _elsewhere(self) -> str | None:
        """Where the images are published by another transport, and the parameter to set, to follow what is
        wrong; None where they are not."""
        for name, other in others_of(self._modality, self._transport).items():
            topic, type_name = self._base + other.suffix, _type_name(other.message_type)
            if type_name in self._types(topic):
                place = f", but {topic} carries {type_name}" if topic != self.topic else ""
                return f"{place}: set {parameter_of(self._modality)} to {name}"
        return None

    def _types(self, topic: str) -> set[str]:
        """Of the messages that are published on a topic now."""
        return {publisher.topic_type for publisher in self._node.get_publishers_info_by_topic(topic)}

    def close(self) -> None:
        """Unsubscribes."""
        self._node.destroy_subscription(self._current)
        if self._retiring is not None:
            self._node.destroy_subscription(self._retiring)

    def _subscribe(self) -> Any:
        receive = functools.partial(self._receive, self._generation)
        profile = input_profile(self.reliability)
        return self._node.create_subscription(self._transport.message_type, self._name, receive, profile)

    def _receive(self, generation: int, message: Message) -> None:
        if generation == self._generation:
            self._current_has_received = True
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        if stamp in self._passed_on:
            return
        if self._retiring is not None:
            self._passed_on.append(stamp)
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
            if publisher.topic_type == self._type_name
        ]
        return matching_reliability(offers) if offers else unpublished

    def _publishers(self) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self.topic))


def _type_name(message_type: type[Any]) -> str:
    """As the graph names it: sensor_msgs/msg/Image."""
    package, folder, *_ = message_type.__module__.split(".")
    return f"{package}/{folder}/{message_type.__name__}"
