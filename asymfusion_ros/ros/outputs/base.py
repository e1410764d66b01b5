"""Output topics and their publishers. Each message is made only where somebody subscribes to its topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rclpy.lifecycle import LifecycleNode

from asymfusion_ros.ros.messages import MessageType
from asymfusion_ros.ros.qos import OUTPUT_PROFILE


class Output(Protocol):
    """One topic that gets a message for each frame that went through the network.

    topic: its name, ``~/...``. type: the class of its messages. needs: the fields of the result that it is
    made from: "labels", "confidence", "disagreement" and "points"; "image" of a translation.
    """

    topic: str
    type: MessageType
    needs: frozenset[str]

    def message(self, scene: Any) -> Any:
        """The message of a scene (scene.py), with its header; None where the scene has nothing for it."""


class Publishers:
    """The publishers of ``outputs``, silent until the node is active. Where ``camera`` names one of several,
    ``~/mask`` is its ``~/CAMERA/mask``; in the methods here topics are called as the outputs call them.
    """

    def __init__(self, node: LifecycleNode, outputs: Sequence[Output], camera: str = "") -> None:
        self._node = node
        self._publishers = [
            (output, node.create_lifecycle_publisher(output.type, topic_of(output, camera), OUTPUT_PROFILE))
            for output in outputs
        ]

    def subscribed(self) -> frozenset[str]:
        """The topics (``~/...``) that somebody subscribes to."""
        return frozenset(
            output.topic for output, publisher in self._publishers if publisher.get_subscription_count() > 0
        )

    def needs(self, topics: frozenset[str]) -> frozenset[str]:
        """The fields of the result that the outputs on ``topics`` are made from."""
        return frozenset().union(*(output.needs for output, _ in self._publishers if output.topic in topics))

    def publish(self, topics: frozenset[str], scene: Any) -> None:
        """Publishes the scene on ``topics``."""
        for output, publisher in self._publishers:
            if output.topic in topics and (message := output.message(scene)) is not None:
                publisher.publish(message)

    def close(self) -> None:
        """Takes the topics off the graph."""
        for _, publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = []


def topic_of(output: Output, camera: str) -> str:
    """The output's topic, for one of several cameras under its name: ``~/front/mask``."""
    return output.topic.replace("~/", f"~/{camera}/", 1) if camera else output.topic
