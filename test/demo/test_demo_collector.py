"""The collector over real DDS: an image that cannot be drawn costs a picture and no more."""

import os
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="the collector needs ROS 2 for Python")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from asymfusion_ros.demo.collector import Collector  # noqa: E402
from asymfusion_ros.demo.player import QOS, to_time  # noqa: E402
from asymfusion_ros.ros.messages import image_message  # noqa: E402

TOPICS = {"rgb": "rgb/image_rect_color", "mask": "segmentation/mask", "overlay": "segmentation/overlay"}
SECOND = 10**9


@pytest.fixture
def context(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1 + os.getpid() % 100)
    yield context
    rclpy.shutdown(context=context)


def test_images_that_cannot_be_drawn_are_logged_once_and_the_next_is_drawn(context):
    logged: list[str] = []
    listener = rclpy.create_node("collector", context=context)
    camera = rclpy.create_node("camera", context=context)
    collector = Collector(listener, "segmentation", 10.0, logged.append)
    publishers = {name: camera.create_publisher(Image, topic, QOS) for name, topic in TOPICS.items()}
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)

    def until(condition) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            executor.spin_once(timeout_sec=0.05)

    def send(stamp: int, rgb: np.ndarray, encoding: str) -> None:
        pictures = {"rgb": rgb, "overlay": np.zeros((4, 6, 3), np.uint8), "mask": np.ones((4, 6), np.uint8)}
        encodings = {"rgb": encoding, "overlay": "rgb8", "mask": "mono8"}
        for name, picture in pictures.items():
            header = Header(stamp=to_time(stamp), frame_id="camera")
            publishers[name].publish(image_message(header, picture, encodings[name]))
        until(lambda: stamp in collector.statistics.masks and not collector.awaits_overlay)

    until(lambda: all(publisher.get_subscription_count() for publisher in publishers.values()))
    for number in range(2):
        send((100 + number) * SECOND, np.zeros((4, 6, 3), np.uint8), "nonsense")
    (line,) = logged
    assert line.startswith("no picture of an image: encoding 'nonsense' is not one of rgb's")
    assert not collector.pictures.views

    bgr = np.full((4, 6, 3), (30, 20, 10), np.uint8)
    send(101 * SECOND + SECOND // 2, bgr, "8UC3")  # the second's first image was not drawn
    (view,) = collector.pictures.views
    assert view.rgb[0, 0].tolist() == [10, 20, 30] and (view.mask == 1).all()
    assert len(collector.statistics.masks) == 3 and len(logged) == 1


def test_the_nodes_counters_are_those_of_its_newest_diagnostics(context):
    messages = pytest.importorskip("diagnostic_msgs.msg", reason="needs diagnostic_msgs")
    listener = rclpy.create_node("collector", namespace="trial", context=context)
    collector = Collector(listener, "segmentation", 10.0, lambda line: None)
    robot = rclpy.create_node("robot", context=context)
    publisher = robot.create_publisher(messages.DiagnosticArray, "/diagnostics", 10)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)

    def until(condition) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            executor.spin_once(timeout_sec=0.05)

    def report(name: str, paired: int) -> None:
        values = [
            messages.KeyValue(key=key, value=text)
            for key, text in (("paired", str(paired)), ("state", "active"))
        ]
        publisher.publish(
            messages.DiagnosticArray(status=[messages.DiagnosticStatus(name=name, values=values)])
        )

    until(lambda: publisher.get_subscription_count())
    report("battery: charge", 1)
    report("segmentation: segmentation", 2)  # another namespace's
    report("trial/segmentation: segmentation", 3)
    until(lambda: collector.reports)
    report("trial/segmentation: segmentation", 4)
    until(lambda: collector.reports == 2)
    assert collector.counters == {"paired": 4}
