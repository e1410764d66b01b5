"""What the node costs on top of the engine: frames published, masks awaited.

Node, camera and viewer share one process here, so that one process's scheduling does not hide the node's own
cost; what crossing processes costs besides, the demo shows. Three times for each frame: the loop through the
node; the engine's part of it; and the loop through an echo that answers each frame with a blank mask, which
is the transport alone. What is left of the first without the other two is the node's own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import NamedTuple

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from tqdm import tqdm

from asymfusion_ros.data.made_images import made_images
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import HostResult, Wanted
from asymfusion_ros.errors import UserError
from asymfusion_ros.messages.fields import ImageMessage, Stamp
from asymfusion_ros.ros.messages import image_message, raw_image_message
from asymfusion_ros.ros.network import MaskNetwork, load_network
from asymfusion_ros.ros.qos import OUTPUT_PROFILE
from asymfusion_ros.ros.segmentation import SegmentationNode
from asymfusion_ros.ros.settings import NodeSettings

PATIENCE = 20.0  # seconds for one answer


# output topic -> (encoding, bytes a pixel)
IMAGE_OUTPUTS = {
    "mask": ("mono8", 1),
    "confidence": ("mono8", 1),
    "color_mask": ("rgb8", 3),
    "overlay": ("rgb8", 3),
    "disagreement": ("mono8", 1),
}


class Spinner:
    """Spins nodes in a thread of its own, which has ended when ``close`` returns."""

    def __init__(self) -> None:
        self._executor = SingleThreadedExecutor()
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spinner")
        self._spinning = self._thread.submit(self._spin)

    def _spin(self) -> None:
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.2)

    def add(self, node: Node) -> None:
        """From now on with ``node``."""
        self._executor.add_node(node)

    def check(self) -> None:
        """Raises what a node's callback raised, which ended the spinning."""
        if self._spinning.done():
            self._spinning.result()

    def close(self) -> None:
        """Waits for the thread's end. Raises what a callback raised."""
        self._stop.set()
        self._thread.shutdown()
        self._executor.shutdown()
        self.check()


class Echo(Node):
    """Answers each frame with images of zeros: receives and sends as the node does, and computes nothing."""

    def __init__(self, namespace: str, topics: Sequence[str], outputs: Sequence[str]) -> None:
        super().__init__("segmentation", namespace=namespace)
        self._outputs = {name: self.create_publisher(Image, f"~/{name}", OUTPUT_PROFILE) for name in outputs}
        self._images: list[ImageMessage] = []
        self._inputs = [
            self.create_subscription(Image, topic, self._on_image, OUTPUT_PROFILE) for topic in topics
        ]

    def _on_image(self, message: ImageMessage) -> None:
        stamp = message.header.stamp
        self._images = [image for image in self._images if image.header.stamp == stamp] + [message]
        if len(self._images) == len(self._inputs):
            for name, publisher in self._outputs.items():
                encoding, channels = IMAGE_OUTPUTS[name]
                blank = np.zeros((message.height, message.width, channels), np.uint8)
                publisher.publish(image_message(message.header, blank, encoding))


class Client(Node):
    """Publishes the images of a frame, by topic, and waits for the outputs with their stamp. ``check`` raises
    where there is no use in waiting longer.
    """

    def __init__(
        self, namespace: str, topics: Sequence[str], outputs: Sequence[str], check: Callable[[], None]
    ) -> None:
        super().__init__("bench_client", namespace=namespace)
        self._check = check
        self._publishers_of = {topic: self.create_publisher(Image, topic, OUTPUT_PROFILE) for topic in topics}
        self._answered: dict[str, Stamp] = {}
        self._outputs = {
            name: self.create_subscription(
                Image, f"segmentation/{name}", partial(self._on_output, name), OUTPUT_PROFILE
            )
            for name in outputs
        }
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)

    def _on_output(self, name: str, message: ImageMessage) -> None:
        self._answered[name] = message.header.stamp

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Spins until ``condition`` holds. Raises UserError, beginning with ``what``, where it doesn't."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            self._check()
            if time.monotonic() > deadline:
                raise UserError(f"{what} within {PATIENCE:.0f} s: see the node's log above")
            self._executor.spin_once(timeout_sec=0.1)

    def connect(self) -> None:
        """Waits until the images and the outputs have their other end."""
        ends = [publisher.get_subscription_count for publisher in self._publishers_of.values()]
        self.wait_until(
            lambda: (
                all(end() > 0 for end in ends)
                and all(self.count_publishers(f"segmentation/{name}") for name in self._outputs)
            ),
            "the node did not connect",
        )

    def round_trip(self, given: Mapping[str, RawImage]) -> float:
        """Milliseconds from publishing the images, by topic, to the last of their outputs."""
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id="bench")
        messages = {topic: raw_image_message(header, image) for topic, image in given.items()}
        started = time.perf_counter()
        for topic, message in messages.items():
            self._publishers_of[topic].publish(message)
        self.wait_until(
            lambda: all(self._answered.get(name) == header.stamp for name in self._outputs), "no mask came"
        )
        return 1000 * (time.perf_counter() - started)

    def close(self) -> None:
        """Takes the node off the graph."""
        self._executor.shutdown()
        self.destroy_node()


class TimedNetwork:
    """A network that notes what each call takes, until the labels are on the host."""

    def __init__(self, settings: NodeSettings) -> None:
        self._network = load_network(settings)
        self.checkpoint = self._network.checkpoint
        self.label_set = self._network.label_set
        self.unlabeled = self._network.unlabeled
        self.backend = self._network.backend
        self.milliseconds: list[float] = []

    def segment(
        self,
        given: Mapping[str, RawImage],
        confidence: bool = True,
        disagreement: bool = False,
        geometry: Geometry | None = None,
    ) -> _OnHost:
        """See asymfusion_ros.Segmenter."""
        started = time.perf_counter()
        result = self._network.segment(given, confidence, disagreement, geometry).numpy()
        self.milliseconds.append(1000 * (time.perf_counter() - started))
        return _OnHost(result)

    def segment_batch(self, frames: Sequence[tuple[Mapping[str, RawImage], Wanted]]) -> list[_OnHost]:
        """See asymfusion_ros.Segmenter; what is measured has one camera."""
        return [self.segment(given, *vars(wanted).values()) for given, wanted in frames]


class _OnHost(NamedTuple):
    result: HostResult

    def numpy(self) -> HostResult:
        return self.result


def measure_node(
    parameters: Mapping[str, str | int],
    height: int,
    width: int,
    frames: int,
    warm_up: int,
    outputs: Sequence[str] = ("mask",),
) -> dict[str, list[float]]:
    """Milliseconds a frame of ``loop`` (through the node), ``engine`` (its part of that) and ``transport``.

    ``parameters``: the node's checkpoint, device and so on. ``outputs``: the names of the image
    topics that are subscribed to. Raises UserError where the node does not start or answer.
    """
    networks: list[TimedNetwork] = []

    def load(settings: NodeSettings) -> MaskNetwork:
        networks.append(TimedNetwork(settings))
        return networks[0]

    # Closed in the opposite order, also where something raises: nothing spins a node that is gone.
    with ExitStack() as closing:
        # Not rclpy's handlers: they would end the context under the threads that use it. So Ctrl-C is a
        # KeyboardInterrupt in this one.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        closing.callback(rclpy.try_shutdown)
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = SegmentationNode(namespace="bench", load=load, parameter_overrides=overrides)
        closing.callback(node.destroy_node)
        closing.callback(node.close)
        if not node.start():
            raise UserError("the node was refused its start: see its log above")
        checkpoint = networks[0].checkpoint
        modalities = [checkpoint.input_spec.modality(name) for name in checkpoint.config.modalities]
        topics = {modality.name: modality.topic for modality in modalities}
        echo = Echo("bench_echo", list(topics.values()), outputs)
        closing.callback(echo.destroy_node)
        spinner = Spinner()
        closing.callback(spinner.close)
        spinner.add(node)
        spinner.add(echo)
        clients: dict[str, Client] = {}
        for name, namespace in {"loop": "bench", "transport": "bench_echo"}.items():
            clients[name] = Client(namespace, list(topics.values()), outputs, spinner.check)
            closing.callback(clients[name].close)
            clients[name].connect()
        rng = np.random.default_rng(0)
        times: dict[str, list[float]] = {name: [] for name in clients}
        for _ in tqdm(range(warm_up + frames), desc="node", unit="frame", leave=False, disable=None):
            made = made_images(rng, modalities, height, width)
            given = {topics[name]: RawImage.from_array(image) for name, image in made.items()}
            for name, client in clients.items():
                times[name].append(client.round_trip(given))
        # One call a frame: each mask was waited for.
        times["engine"] = networks[0].milliseconds
        return {name: values[warm_up:] for name, values in times.items()}
