"""/tf_static: how the robot's fixed frames lie, as far as the cameras' are concerned."""

from __future__ import annotations

import traceback
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from asymfusion_ros.messages.transforms import TOPIC, FixedFrames
from asymfusion_ros.ros.log import ThrottledLog

# As tf2_ros subscribes: every broadcaster keeps its own frames for whoever comes later.
PROFILE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=100,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


class StaticTransforms(FixedFrames):
    """Subscribes to TOPIC. ``log`` gets a line for each frame that lies nowhere.

    Attribute: ``missing``, why nothing is known without a subscription: the package tf2_msgs is not there.
    """

    def __init__(self, node: Node, log: ThrottledLog) -> None:
        super().__init__(log)
        self._node = node
        self._callback_log = log
        self._subscription: Any = None
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            self.missing = f"{TOPIC} is not read, which needs the package tf2_msgs"
            return
        self._subscription = node.create_subscription(TFMessage, TOPIC, self.receive, PROFILE)

    def receive(self, message: Any) -> None:
        """Takes a tf2_msgs/TFMessage. Never raises."""
        try:
            self.take(message)
        except Exception:
            self._callback_log.error(TOPIC, f"transforms were lost:\n{traceback.format_exc()}")

    def close(self) -> None:
        """Unsubscribes."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
