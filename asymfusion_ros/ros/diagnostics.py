"""/diagnostics: the node's state, faults and numbers as data, once a second, for whoever watches the robot.

As diagnostic_updater publishes them: a status for each task, named "node: task", with the node as its
hardware_id and values that are texts; its level is that of the worst fault. Without the package
diagnostic_msgs there is no such topic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.node import Node

from asymfusion_ros.stream.status import Report

PERIOD = 1.0  # seconds
TOPIC = "/diagnostics"
TASK = "segmentation"


class Diagnostics:
    """Publishes reports on TOPIC. ``log`` gets a line where diagnostic_msgs is not installed."""

    def __init__(self, node: Node, log: Callable[[str], object]) -> None:
        self._node = node
        try:
            from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
        except ImportError:
            log(f"{TOPIC} is not published: it needs the package diagnostic_msgs")
            self._publisher: Any = None
            return
        self._array, self._entry, self._value = DiagnosticArray, DiagnosticStatus, KeyValue
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, 10)

    def publish(self, reports: Mapping[str, Report], well: str) -> None:
        """Publishes the report of each task; ``well`` is the message of one without a fault."""
        if self._publisher is None:
            return
        message = self._array(status=[self._status(task, report, well) for task, report in reports.items()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _status(self, task: str, report: Report, well: str) -> Any:
        return self._entry(
            level=bytes([report.level]),
            name=f"{node_name(self._node)}: {task}",
            message=report.message or well,
            hardware_id=node_name(self._node),
            values=[self._value(key=key, value=str(value)) for key, value in report.values.items()],
        )


def node_name(node: Node) -> str:
    """The node's full name without the first slash, as diagnostics name it."""
    return node.get_fully_qualified_name().lstrip("/")
