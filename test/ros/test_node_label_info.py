"""~/label_info. vision_msgs comes only with ROS distributions: stand-ins play its two messages."""

import sys
from dataclasses import dataclass, field
from types import ModuleType

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")

from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from std_msgs.msg import Header

from asymfusion_ros.ros.outputs.labels import LabelInfoPublisher


@dataclass
class VisionClass:
    class_id: int = 0
    class_name: str = ""


@dataclass
class LabelInfo:
    header: Header = field(default_factory=Header)
    class_map: list = field(default_factory=list)
    threshold: float = 0.0


class Node:
    """The part of a node that matters here: publishers, and what is published on them."""

    def __init__(self):
        self.topics = []
        self.published = []

    def create_publisher(self, message_type, topic, profile):
        self.topics.append((message_type, topic, profile))
        return self

    def publish(self, message):
        self.published.append(message)


def test_labels_are_published_latched_and_only_when_they_change(monkeypatch):
    module = ModuleType("vision_msgs.msg")
    module.LabelInfo, module.VisionClass = LabelInfo, VisionClass
    monkeypatch.setitem(sys.modules, "vision_msgs", ModuleType("vision_msgs"))
    monkeypatch.setitem(sys.modules, "vision_msgs.msg", module)
    node, logged = Node(), []
    output = LabelInfoPublisher(node, logged.append)
    ((message_type, topic, profile),) = node.topics
    assert (message_type, topic, logged) == (LabelInfo, "~/label_info", [])
    assert profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert profile.reliability == ReliabilityPolicy.RELIABLE

    output.publish(Header(frame_id="first"), ("wall", "floor"))
    output.publish(Header(frame_id="again"), ("wall", "floor"))
    (message,) = node.published
    assert message.header.frame_id == "first"
    named = [(c.class_id, c.class_name) for c in message.class_map]
    assert named == [(0, "wall"), (1, "floor"), (255, "unlabeled")]

    output.publish(Header(), ("road", "sky"))
    assert len(node.published) == 2


def test_without_vision_msgs_it_is_logged_once_and_nothing_is_published(monkeypatch):
    monkeypatch.setitem(sys.modules, "vision_msgs", None)
    node, logged = Node(), []
    output = LabelInfoPublisher(node, logged.append)
    output.publish(Header(), ("wall", "floor"))
    assert node.topics == []
    assert logged == ["~/label_info is not published: it needs the package vision_msgs"]
