"""A camera as a process of its own, to be killed: publishes frames, and prints when it sent the first one."""

from __future__ import annotations

import argparse
import time

import rclpy
from node_harness import SECOND, made
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from asymfusion_ros.data.topics import image_topic


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--reliability", choices=["RELIABLE", "BEST_EFFORT"], default="RELIABLE")
    parser.add_argument("--durability", choices=["VOLATILE", "TRANSIENT_LOCAL"], default="VOLATILE")
    parser.add_argument("--start", type=int, required=True, help="seconds of the first stamp")
    parser.add_argument("--late", type=float, default=0.0, help="seconds by which depth is sent late")
    parser.add_argument("modalities", nargs="+")
    given = parser.parse_args()
    rclpy.init(domain_id=given.domain)
    node = rclpy.create_node("camera_process", namespace=given.namespace)
    qos = QoSProfile(
        depth=5,
        reliability=ReliabilityPolicy[given.reliability],
        durability=DurabilityPolicy[given.durability],
    )
    publishers = {name: node.create_publisher(Image, image_topic(name), qos) for name in given.modalities}
    messages = {name: made(name, SECOND) for name in publishers}
    began = time.monotonic()
    print(f"first {began}", flush=True)
    late = round(given.late * 30)
    for k in range(1_000_000):
        for name, publisher in publishers.items():
            number = k - late if name == "depth" else k
            if number >= 0:
                stamp = given.start * SECOND + number * SECOND // 30
                message = messages[name]
                message.header.stamp.sec, message.header.stamp.nanosec = stamp // SECOND, stamp % SECOND
                publisher.publish(message)
        time.sleep(max(0.0, began + (k + 1) / 30 - time.monotonic()))


if __name__ == "__main__":
    main()
