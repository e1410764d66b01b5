"""/tf_static: how the robot's fixed frames lie, as far as the cameras' are concerned."""

from __future__ import annotations

import traceback
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from asymfusion_ros.data.transform import Transform, TransformTree
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.ros.log import ThrottledLog

TOPIC = "/tf_static"
# As tf2_ros subscribes: every broadcaster keeps its own frames for whoever comes later.
PROFILE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


class StaticTransforms:
    """Subscribes to TOPIC. ``log`` gets a line for each frame that lies nowhere.

    Attribute: ``missing``, why nothing is known without a subscription: the package tf2_msgs is not there.
    """

    def __init__(self, node: Node, log: ThrottledLog) -> None:
        self._node = node
        self._log = log
        self._tree = TransformTree()
        self._subscription: Any = None
        self.missing: str | None = None
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self.missing = f"{TOPIC} is not read, which needs the package tf2_msgs"
            return
        self._subscription = node.create_subscription(TFMessage, TOPIC, self.receive, PROFILE)

    def between(self, source: str, target: str) -> Transform | None:
        """From the coordinates of the frame ``source`` to those of ``target``; None where nobody said."""
        return self._tree.between(source, target)

    def receive(self, message: Any) -> None:
        """Takes a tf2_msgs/TFMessage. Never raises."""
        try:
            for one in message.transforms:
                self._take(one)
        except Exception:
            self._log.error(TOPIC, f"transforms were lost:\n{traceback.format_exc()}")

    def _take(self, one: Any) -> None:
        at, turned = one.transform.translation, one.transform.rotation
        try:
            values = at.x, at.y, at.z, turned.x, turned.y, turned.z, turned.w
            self._tree.add(one.header.frame_id, one.child_frame_id, Transform.from_quaternion(values))
        except ConfigError as error:
            name = one.child_frame_id[:80]
            self._log.warning_once((TOPIC, name), f"{TOPIC}: frame {name!r} is ignored: {error}")

    def close(self) -> None:
        """Unsubscribes."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
