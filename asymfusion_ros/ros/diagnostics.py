"""/diagnostics: the node's state and counters as data, once a second, for whoever watches the robot.

As diagnostic_updater publishes them: one status a node, whose name begins with the node's and whose values
are texts. Without the package diagnostic_msgs there is no such topic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.node import Node

PERIOD = 1.0  # seconds
TOPIC = "/diagnostics"
TASK = "segmentation"


@dataclass(frozen=True)
class Status:
    """One message. faults: what is wrong, a line each; none is OK. values: name -> number or text. camera:
    the one that it is about, where the node has several.
    """

    message: str
    faults: tuple[str, ...] = ()
    values: Mapping[str, object] = field(default_factory=dict)
    camera: str = ""


class Diagnostics:
    """Publishes what ``statuses()`` gives on TOPIC every PERIOD seconds, in every state of the node.

    ``log`` gets a line where diagnostic_msgs is not installed.
    """

    def __init__(
        self, node: Node, statuses: Callable[[], Sequence[Status]], log: Callable[[str], object]
    ) -> None:
        self._node = node
        self._statuses = statuses
        try:
            from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
        except ImportError:
            log(f"{TOPIC} is not published: it needs the package diagnostic_msgs")
            return
        self._array, self._entry, self._value = DiagnosticArray, DiagnosticStatus, KeyValue
        self._publisher = node.create_publisher(DiagnosticArray, TOPIC, 10)
        # Steady: it must run on where simulated time stands still.
        self._timer: Any = node.create_timer(
            PERIOD, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def publish(self) -> None:
        """Publishes the present status of the node, or of each of its cameras."""
        message = self._array(status=[self._entry_of(status) for status in self._statuses()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def _entry_of(self, status: Status) -> Any:
        task = f"{TASK} {status.camera}" if status.camera else TASK
        return self._entry(
            level=self._entry.WARN if status.faults else self._entry.OK,
            name=f"{node_name(self._node)}: {task}",
            message="; ".join(status.faults) or status.message,
            hardware_id=node_name(self._node),
            values=[self._value(key=key, value=str(value)) for key, value in status.values.items()],
        )


def node_name(node: Node) -> str:
    """The node's full name without the first slash, as diagnostics name it."""
    return node.get_fully_qualified_name().lstrip("/")
