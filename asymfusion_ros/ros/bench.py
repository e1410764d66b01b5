"""What the node costs on top of the engine: pairs published, masks awaited.

Node, camera and viewer share one process here, so that one process's scheduling does not hide the node's own
cost; what crossing processes costs besides, the demo shows. Three times for each frame: the loop through the
node; the engine's part of it; and the loop through an echo that answers each pair with a blank mask, which is
the transport alone. What is left of the first without the other two is the node's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tqdm import tqdm

from asymfusion_ros.engine.bench import images
from asymfusion_ros.engine.segmenter import HostResult
from asymfusion_ros.errors import UserError
from asymfusion_ros.ros.images import image_message
from asymfusion_ros.ros.intake import TOPICS
from asymfusion_ros.ros.node import SegmentationNode, load_segmenter
from asymfusion_ros.ros.parameters import Settings
from asymfusion_ros.ros.qos import OUTPUT_PROFILE

PATIENCE = 20.0  # seconds for one answer


class Echo(Node):
    """Answers each pair with a mask of zeros: receives and sends what the node does, and computes nothing."""

    def __init__(self, namespace: str) -> None:
        super().__init__("segmentation", namespace=namespace)
        self._publisher = self.create_publisher(Image, "~/mask", OUTPUT_PROFILE)
        self._waiting: Any = None
        self._inputs = [
            self.create_subscription(Image, topic, self._on_image, OUTPUT_PROFILE)
            for topic in TOPICS.values()
        ]

    def _on_image(self, message: Image) -> None:
        stamp = message.header.stamp
        if self._waiting != stamp:
            self._waiting = stamp
            return
        blank = np.zeros((message.height, message.width), np.uint8)
        self._publisher.publish(image_message(message.header, blank, "mono8"))


class Client(Node):
    """Publishes a pair and waits for the mask with its stamp."""

    def __init__(self, namespace: str) -> None:
        super().__init__("bench_client", namespace=namespace)
        self._images = {
            kind: self.create_publisher(Image, topic, OUTPUT_PROFILE) for kind, topic in TOPICS.items()
        }
        self._answered: Any = None
        self._masks = self.create_subscription(Image, "segmentation/mask", self._on_mask, OUTPUT_PROFILE)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def _on_mask(self, message: Image) -> None:
        self._answered = message.header.stamp

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                raise UserError(f"{what} within {PATIENCE:.0f} s: see the node's log above")
            self._executor.spin_once(timeout_sec=0.1)

    def connect(self) -> None:
        """Waits until both images and the mask have their other end."""
        ends = [publisher.get_subscription_count for publisher in self._images.values()]
        self.wait_until(
            lambda: all(end() > 0 for end in ends) and self.count_publishers("segmentation/mask") > 0,
            "the node did not connect",
        )

    def round_trip(self, rgb: np.ndarray, depth: np.ndarray) -> float:
        """Milliseconds from publishing the pair to its mask."""
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id="bench")
        messages = {
            "rgb": image_message(header, rgb, "rgb8"),
            "depth": image_message(header, depth.view(np.uint8), "16UC1"),
        }
        messages["depth"].width = depth.shape[1]
        started = time.perf_counter()
        for kind, message in messages.items():
            self._images[kind].publish(message)
        self.wait_until(lambda: self._answered == header.stamp, "no mask came")
        return 1000 * (time.perf_counter() - started)


class TimedSegmenter:
    """A Segmenter that notes what each call takes, until the labels are on the host."""

    def __init__(self, settings: Settings) -> None:
        self._segmenter = load_segmenter(settings)
        self.milliseconds: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._segmenter, name)

    def __call__(self, *arguments: Any, **options: Any) -> _OnHost:
        started = time.perf_counter()
        result = self._segmenter(*arguments, **options).numpy()
        self.milliseconds.append(1000 * (time.perf_counter() - started))
        return _OnHost(result)


class _OnHost(NamedTuple):
    result: HostResult

    def numpy(self) -> HostResult:
        return self.result


def measure_node(
    parameters: Mapping[str, str], height: int, width: int, frames: int, warm_up: int
) -> dict[str, list[float]]:
    """Milliseconds a frame of ``loop`` (through the node), ``engine`` (its part of that) and ``transport``.

    ``parameters``: the node's checkpoint, device and precision. Raises UserError where the node does not
    start or answer.
    """
    rclpy.init()
    spinner = SingleThreadedExecutor()
    segmenters: list[TimedSegmenter] = []

    def load(settings: Settings) -> TimedSegmenter:
        segmenters.append(TimedSegmenter(settings))
        return segmenters[0]

    overrides = [Parameter(name, value=value) for name, value in parameters.items()]
    node = SegmentationNode(namespace="bench", load=load, parameter_overrides=overrides)
    echo = Echo("bench_echo")
    thread = threading.Thread(target=_spin, args=(spinner,), daemon=True)
    try:
        if not node.start():
            raise UserError("the node was refused its start: see its log above")
        spinner.add_node(node)
        spinner.add_node(echo)
        thread.start()
        clients = {"loop": Client("bench"), "transport": Client("bench_echo")}
        for client in clients.values():
            client.connect()
        rng = np.random.default_rng(0)
        times: dict[str, list[float]] = {name: [] for name in clients}
        for _ in tqdm(range(warm_up + frames), desc="node", unit="frame", leave=False, disable=None):
            rgb, depth = images(rng, height, width)
            for name, client in clients.items():
                times[name].append(client.round_trip(rgb, depth))
        # One call a frame: each mask was waited for.
        times["engine"] = segmenters[0].milliseconds
        return {name: values[warm_up:] for name, values in times.items()}
    finally:
        spinner.shutdown()
        node.close()
        rclpy.try_shutdown()


def _spin(executor: SingleThreadedExecutor) -> None:
    while executor.context.ok():
        executor.spin_once(timeout_sec=0.2)
