"""The node's output topics. Each message is made only where somebody subscribes to its topic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.ros.drawing import LabelPainter
from asymfusion_ros.ros.images import image_message, rgb_pixels
from asymfusion_ros.ros.qos import LATCHED_PROFILE, OUTPUT_PROFILE

TOPICS = ("mask", "confidence", "color_mask", "overlay")


class Outputs:
    """Publishers of ~/mask, ~/confidence, ~/color_mask and ~/overlay, silent until the node is active."""

    def __init__(self, node: LifecycleNode, painter: LabelPainter) -> None:
        self._node = node
        self._painter = painter
        self._publishers = {
            topic: node.create_lifecycle_publisher(Image, f"~/{topic}", OUTPUT_PROFILE) for topic in TOPICS
        }

    def wanted(self) -> frozenset[str]:
        """The topics that somebody subscribes to."""
        return frozenset(
            topic for topic, publisher in self._publishers.items() if publisher.get_subscription_count() > 0
        )

    def publish(self, wanted: frozenset[str], header: Header, picture: RawImage, result: Any) -> None:
        """Publishes ``result`` (labels and confidence as H x W uint8 arrays on the host) on the topics
        ``wanted``, all with ``header``; ``picture`` is what the overlay is laid over, H x W too.
        """
        labels = result.labels
        if "mask" in wanted:
            self._send("mask", header, labels, "mono8")
        if "confidence" in wanted:
            self._send("confidence", header, result.confidence, "mono8")
        if not wanted.isdisjoint(("color_mask", "overlay")):
            self._publish_pictures(wanted, header, picture, self._painter.colours(labels))

    def _publish_pictures(
        self, wanted: frozenset[str], header: Header, picture: RawImage, colours: Any
    ) -> None:
        if "color_mask" in wanted:
            self._send("color_mask", header, colours, "rgb8")
        if "overlay" in wanted:
            self._send("overlay", header, self._painter.blend(rgb_pixels(picture), colours), "rgb8")

    def _send(self, topic: str, header: Header, image: Any, encoding: str) -> None:
        self._publishers[topic].publish(image_message(header, image, encoding))

    def close(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = {}


class LabelInfoOutput:
    """~/label_info: the names of the labels, kept for late subscribers, published when they change.

    It lives as long as the node: whoever rebuilds a map at each message must not get one at each activation.
    Without vision_msgs there is no such topic, and ``say`` is told once.
    """

    def __init__(self, node: LifecycleNode, say: Callable[[str], None]) -> None:
        self._published: tuple[str, ...] | None = None
        try:
            from vision_msgs.msg import LabelInfo, VisionClass
        except ImportError:
            self._publisher: Any = None
            say("~/label_info is not published: it needs the package vision_msgs")
            return
        self._label_info, self._vision_class = LabelInfo, VisionClass
        self._publisher = node.create_publisher(LabelInfo, "~/label_info", LATCHED_PROFILE)

    def publish(self, header: Header, names: tuple[str, ...]) -> None:
        """Publishes ``names`` (label i is names[i]; 255 is unlabeled) unless they were the last ones too."""
        if self._publisher is None or names == self._published:
            return
        message = self._label_info(header=header, threshold=0.0)
        classes = [*enumerate(names), (255, "unlabeled")]
        message.class_map = [self._vision_class(class_id=i, class_name=name) for i, name in classes]
        self._publisher.publish(message)
        self._published = names
