"""What the node keeps up with: a camera in a process of its own, at its own rate, whatever comes back.

As a program it is that camera: it publishes, collects the masks, and prints what it found as JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from asymfusion_ros.data.made_images import made_images
from asymfusion_ros.data.modality import Modality, modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import UserError
from asymfusion_ros.messages.fields import ImageMessage
from asymfusion_ros.ros.bench import Spinner
from asymfusion_ros.ros.messages import raw_image_message
from asymfusion_ros.ros.network import MaskNetwork, load_network
from asymfusion_ros.ros.qos import OUTPUT_PROFILE
from asymfusion_ros.ros.segmentation import SegmentationNode
from asymfusion_ros.ros.settings import NodeSettings

NAMESPACE = "bench_stream"
MADE = 8  # frames, sent in turns
WARM_UP = 3.0  # seconds, not counted; at most the measurement's own
PATIENCE = 60.0  # seconds for the first mask


class Camera(Node):
    """Publishes frames at a rate. milliseconds: from sending each counted frame to its mask, in the order in
    which masks came. Those of frames that the node left out are not there."""

    def __init__(
        self, described: Sequence[Modality], topics: Mapping[str, str], height: int, width: int
    ) -> None:
        super().__init__("camera", namespace=NAMESPACE)
        rng = np.random.default_rng(0)
        self._frames = [made_images(rng, described, height, width) for _ in range(MADE)]
        self._publishers_of = {
            name: self.create_publisher(Image, topic, OUTPUT_PROFILE) for name, topic in topics.items()
        }
        self.create_subscription(Image, "segmentation/mask", self._on_mask, OUTPUT_PROFILE)
        self._sent: dict[tuple[int, int], float] = {}
        self.milliseconds: list[float] = []
        self.masks = 0

    def send(self, number: int) -> None:
        """The frame of this number."""
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id="bench")
        messages = {
            name: raw_image_message(header, RawImage.from_array(image))
            for name, image in self._frames[number % MADE].items()
        }
        self._sent[header.stamp.sec, header.stamp.nanosec] = time.perf_counter()
        for name, message in messages.items():
            self._publishers_of[name].publish(message)

    def begin(self) -> None:
        """From now on masks count."""
        self.milliseconds, self._sent, self.masks = [], {}, 0

    def _on_mask(self, message: ImageMessage) -> None:
        self.masks += 1
        sent = self._sent.pop((message.header.stamp.sec, message.header.stamp.nanosec), None)
        if sent is not None:
            self.milliseconds.append(1000 * (time.perf_counter() - sent))

    def run(self, rate: float, seconds: float) -> dict[str, Any]:
        """Sends until masks come, then so long again for the warm-up, then for the measurement."""
        self._spend(rate, PATIENCE, until_mask=True)
        if not self.masks:
            raise UserError(f"no mask came within {PATIENCE:.0f} s")
        self._spend(rate, min(WARM_UP, seconds))
        self.begin()
        sent = self._spend(rate, seconds)
        return {"sent": sent, "masks": self.masks, "milliseconds": self.milliseconds}

    def _spend(self, rate: float, seconds: float, until_mask: bool = False) -> int:
        """Sends for so long; the number of frames."""
        began, number = time.perf_counter(), 0
        while (now := time.perf_counter() - began) < seconds and not (until_mask and self.masks):
            if now >= number / rate:
                self.send(number)
                number += 1
            rclpy.spin_once(self, timeout_sec=max(0.0, number / rate - (time.perf_counter() - began)))
        return number


def measure_stream(
    parameters: Mapping[str, str | int], height: int, width: int, rate: float, seconds: float
) -> dict[str, Any]:
    """A camera of ``rate`` frames a second beside the node, in a process of its own, for so many seconds:
    what its ``run`` gives. ``parameters``: the node's. Raises UserError where the node does not start or
    answer."""
    with ExitStack() as closing:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        closing.callback(rclpy.try_shutdown)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        networks: list[MaskNetwork] = []

        def load(settings: NodeSettings) -> MaskNetwork:
            networks.append(load_network(settings))
            return networks[0]

        node = SegmentationNode(namespace=NAMESPACE, load=load, parameter_overrides=overrides)
        closing.callback(node.destroy_node)
        closing.callback(node.close)
        if not node.start():
            raise UserError("the node was refused its start: see its log above")
        spinner = Spinner()
        closing.callback(spinner.close)
        spinner.add(node)
        checkpoint = networks[0].checkpoint
        described = [checkpoint.input_spec.modality(name) for name in checkpoint.config.modalities]
        words = [f"{one.name}={one.topic}={one.kind}" for one in described]
        command = [sys.executable, "-m", __name__, f"{width}x{height}", str(rate), str(seconds), *words]
        camera = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        closing.callback(camera.kill)
        output, _ = camera.communicate(timeout=2 * PATIENCE + WARM_UP + seconds)
        spinner.check()
        if camera.returncode:
            raise UserError("the camera's process failed: see its lines above")
        found: dict[str, Any] = json.loads(output)
        return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The camera's process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("size")
    parser.add_argument("rate", type=float)
    parser.add_argument("seconds", type=float)
    parser.add_argument("modalities", nargs="+", help="NAME=TOPIC=KIND")
    args = parser.parse_args(arguments)
    parts = [word.split("=") for word in args.modalities]
    width, height = map(int, args.size.split("x"))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    described = [modality(name, kind) for name, _, kind in parts]
    camera = Camera(described, {name: topic for name, topic, _ in parts}, height, width)
    try:
        found = camera.run(args.rate, args.seconds)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        camera.destroy_node()
        rclpy.try_shutdown()
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
