"""~/label_info: the names of the labels, for whoever subscribes, however late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode

from asymfusion_ros.data.labels import UNLABELED, VOID
from asymfusion_ros.messages.fields import Header
from asymfusion_ros.ros.qos import LATCHED_PROFILE


class LabelInfoPublisher:
    """Publishes vision_msgs/LabelInfo when the names change and at no other time.

    It lives as long as the node: whoever rebuilds a map at each message must not get one at each activation.
    Without vision_msgs there is no such topic, and ``log`` gets one line.
    """

    def __init__(self, node: LifecycleNode, log: Callable[[str], object]) -> None:
        self._published: tuple[str, ...] | None = None
        try:
            from vision_msgs.msg import LabelInfo, VisionClass
        except ImportError:
            self._publisher: Any = None
            log("~/label_info is not published: it needs the package vision_msgs")
            return
        self._label_info, self._vision_class = LabelInfo, VisionClass
        self._publisher = node.create_publisher(LabelInfo, "~/label_info", LATCHED_PROFILE)

    def publish(self, header: Header, names: tuple[str, ...]) -> None:
        """Publishes ``names`` (label i is names[i]; 255 is unlabeled) unless they were the last ones too."""
        if self._publisher is None or names == self._published:
            return
        message = self._label_info(header=header, threshold=0.0)
        classes = [*enumerate(names), (VOID, UNLABELED)]
        message.class_map = [self._vision_class(class_id=i, class_name=name) for i, name in classes]
        self._publisher.publish(message)
        self._published = names
