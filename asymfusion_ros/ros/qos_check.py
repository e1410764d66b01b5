"""Other nodes that share a topic with this one and yet hear nothing of it, or are not heard, because of QoS.

DDS connects a publisher with a subscription only where what the one offers satisfies what the other asks.
What is incompatible is looked up in the graph, which names the nodes: the events of DDS don't.
"""

from __future__ import annotations

import math
from typing import Any

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, LivelinessPolicy, QoSProfile, ReliabilityPolicy

from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.stream.status import Fault, Level, Report

WITHOUT_END = (1 << 63) - 1  # nanoseconds
OF_EVERY_NODE = ("/rosout", "/parameter_events")


class QosCheck:
    """A part of the node's status: a warning for each such node. ``log`` gets them too, by topic.

    A subscription of this node that still follows its publishers' QoS is given the time until the next look.
    """

    def __init__(self, node: Node, log: ThrottledLog) -> None:
        self._node = node
        self._log = log
        self._before: dict[tuple[str, str], str] = {}

    def __call__(self, now: float) -> Report:
        """The nodes found both at this look and at the last."""
        found = self._look()
        lasting = {key: line for key, line in found.items() if key in self._before}
        self._before = found
        for (topic, _), line in lasting.items():
            self._log.warning((topic, "qos"), line)
        return Report(
            tuple(Fault(Level.WARN, line) for line in lasting.values()),
            {"incompatible_qos": ", ".join(f"{node} on {topic}" for topic, node in lasting) or "none"},
        )

    def _look(self) -> dict[tuple[str, str], str]:
        """(topic, node) -> what is wrong."""
        found = {}
        for publisher in self._node.publishers:
            topic = publisher.topic_name
            if topic in OF_EVERY_NODE:
                continue
            for other in self._node.get_subscriptions_info_by_topic(topic):
                if fault := incompatible(publisher.qos_profile, other.qos_profile):
                    name = _full_name(other)
                    found[topic, name] = (
                        f"{topic}: {name} gets nothing: it asks for {fault[1]} and this node offers "
                        f"{fault[0]}: subscribe {fault[0]} there"
                    )
        for subscription in self._node.subscriptions:
            topic = subscription.topic_name
            for other in self._node.get_publishers_info_by_topic(topic):
                if fault := incompatible(other.qos_profile, subscription.qos_profile):
                    name = _full_name(other)
                    found[topic, name] = (
                        f"{topic}: nothing of {name} is heard: it offers {fault[0]} and this node asks for "
                        f"{fault[1]}: publish {fault[1]} there"
                    )
        return found


def incompatible(offered: QoSProfile, asked: QoSProfile) -> tuple[str, str] | None:
    """What is offered and what was asked, in words, where the one doesn't satisfy the other.

    rclpy's qos_check_compatible takes a deadline that was left at its default for one of zero seconds.
    """
    if (offered.reliability, asked.reliability) == (
        ReliabilityPolicy.BEST_EFFORT,
        ReliabilityPolicy.RELIABLE,
    ):
        return "best effort", "reliable"
    durability = DurabilityPolicy
    if (offered.durability, asked.durability) == (durability.VOLATILE, durability.TRANSIENT_LOCAL):
        return "volatile", "transient local"
    for name in ("deadline", "liveliness_lease_duration"):
        longest, wanted = (_seconds(getattr(profile, name)) for profile in (offered, asked))
        if longest > wanted:
            what = name.replace("_", " ")
            has = f"no {what}" if longest == math.inf else f"a {what} of {longest:g} s"
            return has, f"a {what} of {wanted:g} s"
    if (offered.liveliness, asked.liveliness) == (
        LivelinessPolicy.AUTOMATIC,
        LivelinessPolicy.MANUAL_BY_TOPIC,
    ):
        return "automatic liveliness", "liveliness by topic"
    return None


def _seconds(duration: Duration) -> float:
    """Zero is the default, which DDS and the graph hold as without end."""
    nanoseconds = duration.nanoseconds
    return math.inf if nanoseconds in (0, WITHOUT_END) else nanoseconds / 1e9


def _full_name(endpoint: Any) -> str:
    if endpoint.node_name.startswith("_"):  # _NODE_NAME_UNKNOWN_: rmw's word for what is no ROS node
        return "a DDS participant that is no ROS node"
    return f"{endpoint.node_namespace.rstrip('/')}/{endpoint.node_name}"
