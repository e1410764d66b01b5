"""Publishes a recording on the node's input topics at the recorded pace.

As a process (``python -m asymfusion_ros.demo.player``, with the source options of the demo) it writes what it
does as JSON, a line an event, on its standard output.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image

from asymfusion_ros.data.topics import TOPICS
from asymfusion_ros.errors import UserError
from asymfusion_ros.messages.fields import data_of
from asymfusion_ros.recordings.recording import NANOSECONDS, Calibration, RecordedImage, Recording
from asymfusion_ros.recordings.sources import add_arguments, open_recording

CAMERA_INFO_TOPIC = "rgb/camera_info"

# As camera drivers publish: reliable, so that subscribers of either reliability match.
QOS = QoSProfile(history=QoSHistoryPolicy.KEEP_LAST, depth=5, reliability=QoSReliabilityPolicy.RELIABLE)
ANSWER_SECONDS = 5.0  # until a service call is repeated
SETTLED = 1.0  # seconds without a change among the subscriptions


class PlayerError(UserError):
    """Nobody listens: playing would be in vain."""


def recorded_message(image: RecordedImage, stamp: Time) -> Image:
    """The image as sensor_msgs/Image, its bytes unchanged."""
    message = Image(height=image.height, width=image.width, encoding=image.encoding, step=image.step)
    message.header.stamp, message.header.frame_id = stamp, image.frame_id
    message.is_bigendian = int(image.bigendian)
    message.data = data_of(image.data)
    return message


def camera_info_message(calibration: Calibration, frame_id: str, stamp: Time) -> CameraInfo:
    """The calibration as sensor_msgs/CameraInfo."""
    message = CameraInfo(height=calibration.height, width=calibration.width)
    message.header.stamp, message.header.frame_id = stamp, frame_id
    message.distortion_model = calibration.distortion_model
    message.k, message.d = list(calibration.k), list(calibration.d)
    message.r, message.p = list(calibration.r), list(calibration.p or (0.0,) * 12)
    return message


def to_time(nanoseconds: int) -> Time:
    """Nanoseconds since 1970 as a stamp."""
    return Time(sec=nanoseconds // NANOSECONDS, nanosec=nanoseconds % NANOSECONDS)


class Player:
    """The publishers of one recording, on topics relative to the node's namespace."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._images: dict[str, Publisher[Image]] = {
            name: node.create_publisher(Image, topic, QOS) for name, topic in TOPICS.items()
        }
        self._camera_info = node.create_publisher(CameraInfo, CAMERA_INFO_TOPIC, QOS)

    def wait_for_subscribers(self, names: set[str], timeout: float) -> None:
        """Blocks until each named node has subscribed to both image topics and nothing has changed since.

        A subscriber may start over with another reliability when it sees these publishers; a short
        recording would fall into the gap. Raises PlayerError after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        seen, since = None, time.monotonic()
        while True:
            now, current = time.monotonic(), self._subscriptions()
            if current != seen:
                seen, since = current, now
            missing = {
                modality: names - {name for name, *_ in current[modality]} for modality in self._images
            }
            matched = all(
                publisher.get_subscription_count() >= len(current[modality])
                for modality, publisher in self._images.items()
            )
            if not any(missing.values()) and matched and now - since >= SETTLED:
                return
            if now > deadline:
                silent = [publisher.topic_name for name, publisher in self._images.items() if missing[name]]
                raise PlayerError(
                    f"after {timeout:g} s {', '.join(sorted(set().union(*missing.values()))) or 'somebody'} "
                    f"has not subscribed to {' and '.join(silent) or 'the image topics'} for good: "
                    "is the node running, in the same ROS_DOMAIN_ID?"
                )
            time.sleep(0.05)

    def play(self, recording: Recording, on_published: Callable[[RecordedImage, int, int], None]) -> None:
        """Publishes every image when it is due, counted from now, and returns after the last.

        Header stamps keep their distances, moved so that the recording happens now.
        ``on_published(image, stamp, at)`` gets the header stamp (nanoseconds since 1970) and when the
        image was published (``time.monotonic_ns()``).
        """
        beginning, wall = time.monotonic_ns(), time.time_ns()
        for image in recording:
            # The message is built before the wait, so that it leaves on time.
            stamp = wall + image.stamp
            message = recorded_message(image, to_time(stamp))
            time.sleep(max(0, beginning + image.due - time.monotonic_ns()) / NANOSECONDS)
            if image.modality == "rgb" and image.calibration is not None:
                info = camera_info_message(image.calibration, image.frame_id, message.header.stamp)
                self._camera_info.publish(info)
            at = time.monotonic_ns()
            self._images[image.modality].publish(message)
            on_published(image, stamp, at)

    def finish(self, timeout: float) -> None:
        """Waits until the reliable subscribers have got everything, at most ``timeout`` seconds."""
        for publisher in self._images.values():
            publisher.wait_for_all_acked(Duration(seconds=timeout))

    def _subscriptions(self) -> dict[str, set[tuple[str, bytes, str]]]:
        return {
            name: {
                (info.node_name, bytes(info.endpoint_gid), str(info.qos_profile.reliability))
                for info in self._node.get_subscriptions_info_by_topic(publisher.topic_name)
            }
            for name, publisher in self._images.items()
        }


def wait_until_active(node: Node, name: str, timeout: float) -> None:
    """Blocks until the managed node ``name`` is active. Raises PlayerError after ``timeout`` seconds."""
    client: Any = node.create_client(GetState, f"{name}/get_state")
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            if not client.wait_for_service(timeout_sec=0.1):
                continue
            # A node that is loading its network answers when it is done.
            future = client.call_async(GetState.Request())
            rclpy.spin_until_future_complete(node, future, timeout_sec=ANSWER_SECONDS)
            if not future.done():
                client.remove_pending_request(future)
                continue
            response = future.result()
            if response is not None and response.current_state.id == State.PRIMARY_STATE_ACTIVE:
                return
            time.sleep(0.1)
    finally:
        node.destroy_client(client)
    raise PlayerError(f"the node {name} is not active after {timeout:g} s: its log says why")


def write_event(event: str, **values: int | float | str) -> None:
    """One line of JSON for the process that started this one."""
    print(json.dumps({"event": event, **values}), flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Plays the recording of the arguments; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m asymfusion_ros.demo.player",
        description="Publish a recording on the node's input topics once the node is active.",
    )
    add_arguments(parser)
    parser.add_argument("--wait-for", nargs="*", default=["segmentation"], metavar="NODE", help="subscribers")
    parser.add_argument(
        "--managed", nargs="*", default=["segmentation"], metavar="NODE", help="must be active"
    )
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S", help="for both (default: 120)")
    args = parser.parse_args(arguments)
    # Ctrl-C comes as KeyboardInterrupt, as in any program without subscriptions of its own.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node("player")
    try:
        recording = open_recording(args)
        for name in args.managed:
            wait_until_active(node, name, args.timeout)
            write_event("active", node=name)
        player = Player(node)
        player.wait_for_subscribers(set(args.wait_for), args.timeout)
        write_event("playing")

        def published(image: RecordedImage, stamp: int, at: int) -> None:
            write_event("published", modality=image.modality, stamp=stamp, at=at)

        player.play(recording, published)
        player.finish(timeout=2.0)
        write_event("finished")
        return 0
    except UserError as error:
        write_event("failed", reason=str(error))
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        node.destroy_node()
        rclpy.shutdown()


if __name__ == "__main__":
    sys.exit(main())
