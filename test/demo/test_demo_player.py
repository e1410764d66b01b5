"""The player over real DDS: what a subscriber gets is what was recorded, when it was due."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="the player needs ROS 2 for Python")

from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import CameraInfo, Image  # noqa: E402

from asymfusion_ros.demo.player import (  # noqa: E402
    CAMERA_INFO_TOPIC,
    QOS,
    Player,
    PlayerError,
    recorded_message,
    to_time,
    wait_until_active,
)
from asymfusion_ros.recordings.recording import NANOSECONDS, Calibration, RecordedImage  # noqa: E402

# What a user remaps: written out here, so that neither side can change them by itself.
RGB_TOPIC, DEPTH_TOPIC = "rgb/image_rect_color", "depth_registered/image_rect"
MS = 1_000_000


class Recording:
    """A depth image with padded big-endian rows, and an RGB image taken before it but delivered after."""

    title, seconds, images = "two images", 0.2, {"rgb": 1, "depth": 1}

    def __iter__(self) -> Iterator[RecordedImage]:
        depth = np.arange(3 * 10, dtype=np.uint8)  # 3 rows of 4 pixels of 2 bytes, and 2 bytes of padding
        yield RecordedImage("depth", 0, 0, "depth_frame", 3, 4, "16UC1", 10, depth, bigendian=True)
        rgb = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
        calibration = Calibration.pinhole(3, 2, 500.0, 501.0, 1.5, 1.0)
        made = RecordedImage.from_array("rgb", 200 * MS, rgb, "rgb_frame", calibration)
        yield RecordedImage(**{**vars(made), "stamp": -50 * MS})


@pytest.fixture
def context(monkeypatch):
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1 + os.getpid() % 100)
    yield context
    rclpy.shutdown(context=context)


def test_a_subscriber_gets_the_recording_as_it_was(context):
    received: dict[str, list] = {RGB_TOPIC: [], DEPTH_TOPIC: [], CAMERA_INFO_TOPIC: []}
    listener = rclpy.create_node("listener", context=context)
    for topic, messages in received.items():
        message_type = CameraInfo if topic == CAMERA_INFO_TOPIC else Image
        listener.create_subscription(message_type, topic, messages.append, QOS)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            executor.spin_once(timeout_sec=0.05)

    thread = threading.Thread(target=spin)
    thread.start()
    published: list[tuple[str, int, int]] = []
    try:
        player = Player(rclpy.create_node("player", context=context))
        player.wait_for_subscribers({"listener"}, timeout=20)
        before, wall = time.monotonic_ns(), time.time_ns()
        player.play(Recording(), lambda sample, stamp, at: published.append((sample.modality, stamp, at)))
        player.finish(timeout=5)
        deadline = time.monotonic() + 20
        while not all(received.values()) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        done.set()
        thread.join()

    (depth,), (rgb,), (info,) = received[DEPTH_TOPIC], received[RGB_TOPIC], received[CAMERA_INFO_TOPIC]
    assert (depth.height, depth.width, depth.encoding, depth.step, depth.is_bigendian) == (
        3,
        4,
        "16UC1",
        10,
        1,
    )
    assert depth.data.tobytes() == bytes(range(30)) and depth.header.frame_id == "depth_frame"
    assert (rgb.encoding, rgb.data.tobytes()) == ("rgb8", bytes(range(18)))
    assert list(info.k) == [500, 0, 1.5, 0, 501, 1, 0, 0, 1]
    assert info.header == rgb.header and (info.width, info.height) == (3, 2)

    rgb_stamp, depth_stamp = (
        image.header.stamp.sec * NANOSECONDS + image.header.stamp.nanosec for image in (rgb, depth)
    )
    assert depth_stamp - rgb_stamp == 50 * MS
    assert depth_stamp >= wall  # the recording happens now
    assert [(name, stamp) for name, stamp, _ in published] == [("depth", depth_stamp), ("rgb", rgb_stamp)]
    assert published[1][2] >= before + 200 * MS  # not before it is due


def test_without_a_subscriber_it_says_who_is_missing(context):
    player = Player(rclpy.create_node("player", context=context))
    with pytest.raises(PlayerError, match="segmentation has not subscribed to /rgb/image_rect_color and"):
        player.wait_for_subscribers({"segmentation"}, timeout=0.2)


def test_without_the_node_it_does_not_wait_for_ever(context):
    with pytest.raises(PlayerError, match=r"segmentation is not active after 0\.3 s"):
        wait_until_active(rclpy.create_node("player", context=context), "segmentation", timeout=0.3)


def test_an_image_without_data_is_sent_as_it_was_recorded():
    sample = RecordedImage("rgb", 0, 0, "camera", 4, 6, "rgb8", 18, np.empty(0, np.uint8))
    message = recorded_message(sample, to_time(0))
    assert (message.height, message.width, message.step, len(message.data)) == (4, 6, 18, 0)


def test_the_player_starts_without_torch():
    # Loading it takes seconds, which the player would spend before it writes anything.
    command = "import sys, asymfusion_ros.demo.player; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0
