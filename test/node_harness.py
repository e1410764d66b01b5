"""A segmentation node, a camera and a listener in one process, on real DDS."""

from __future__ import annotations

import array
import functools
import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import torch
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import Log
from rclpy.executors import SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint, save_checkpoint
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.ros.network import load_network
from asymfusion_ros.ros.segmentation import SegmentationNode
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.stream.counters import Counters

# Never on a robot's network, and away from other test runs. Read when a context is made.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
DOMAINS = 100  # 1 to 100 are free of the ports that Linux hands out
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % DOMAINS)
_rigs = itertools.count(os.getpid())

RELIABLE = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
HEIGHT, WIDTH = 48, 64
SECOND = 1_000_000_000


def make_checkpoint(path: Path, modalities: tuple[str, ...] = ("rgb", "depth")) -> Path:
    """A small network with random weights, whose masks differ from input to input."""
    torch.manual_seed(3)
    config = NetworkConfig("refinenet_lw", "resnet18", 6, modalities, decoder_channels=16)
    labels = LabelSet("six", ("wall", "floor", "door", "chair", "table", "robot"))
    weights = build_network(config).state_dict()
    save_checkpoint(path, weights, config, labels, InputSpec(HEIGHT, WIDTH), {"dataset": "none"})
    return path


def header(stamp: int, frame_id: str = "camera") -> Header:
    return Header(stamp=Time(sec=stamp // SECOND, nanosec=stamp % SECOND), frame_id=frame_id)


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Random blocks of colour: H x W x 3 uint8."""
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def distances(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Random blocks of distance with a hole: H x W uint16 millimetres."""
    blocks = np.random.default_rng(seed + 1).integers(500, 6000, (height // 8, width // 8), np.uint16)
    depth = blocks.repeat(8, axis=0).repeat(8, axis=1)
    depth[:8, :8] = 0
    return depth


def kelvin(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Random blocks of temperature: H x W uint16 hundredths of a kelvin."""
    blocks = np.random.default_rng(seed + 2).integers(28000, 31000, (height // 8, width // 8), np.uint16)
    return blocks.repeat(8, axis=0).repeat(8, axis=1)


def shades(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Random blocks of grey: H x W uint8."""
    return picture(seed + 3, height, width)[..., 0]


# modality -> (images of it, their encoding)
IMAGES = {
    "rgb": (picture, "rgb8"),
    "depth": (distances, "16UC1"),
    "thermal": (kelvin, "16UC1"),
    "shade": (shades, "mono8"),
}


def made(name: str, stamp: int, seed: int = 0) -> Image:
    """A good message of a modality."""
    make, encoding = IMAGES[name]
    return image(make(seed), encoding, stamp)


def image(pixels: np.ndarray, encoding: str, stamp: int, frame_id: str = "camera", pad: int = 0) -> Image:
    """A message of any array; ``pad`` bytes end each row. A big-endian array makes a big-endian message."""
    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1).view(np.uint8)
    if pad:
        rows = np.pad(rows, ((0, 0), (0, pad)), constant_values=0xAB)
    message = Image(header=header(stamp, frame_id), height=pixels.shape[0], width=pixels.shape[1])
    message.encoding, message.step = encoding, rows.shape[1]
    message.is_bigendian = int(pixels.dtype.byteorder == ">")
    message.data = array.array("B", rows.tobytes())
    return message


def pixels_of(message: Image) -> np.ndarray:
    """The array of a message without padding, in 8-bit encodings."""
    shape = (message.height, message.width, message.step // message.width)
    return np.frombuffer(message.data, np.uint8).reshape(shape).squeeze()


class Network:
    """A network that fails or waits where a test wants it to: ``before`` is called ahead of each frame."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.checkpoint = network.checkpoint
        self.label_set = network.label_set
        self.unlabeled = network.unlabeled
        self.backend = network.backend
        self.before: Callable[[], None] = lambda: None

    def segment(self, given: Mapping[str, Any], *wanted: bool, **named: Any) -> Any:
        self.before()
        return self.network.segment(given, *wanted, **named)

    def segment_batch(self, frames: Any) -> Any:
        self.before()
        return self.network.segment_batch(frames)


class Rig:
    """The node under test with a camera's publishers and a listener on every output and on the log.

    Attributes: ``network``, that of the configured node; ``cameras``, its publishers by modality.
    """

    def __init__(
        self,
        checkpoint: Path,
        qos: QoSProfile = RELIABLE,
        listen: tuple[str, ...] = ("mask",),
        modalities: tuple[str, ...] = ("rgb", "depth"),
        load: Callable[[NodeSettings], Any] = load_network,
        make_node: Callable[..., Any] | None = None,
        **values: Any,
    ) -> None:
        """make_node: a node other than `segmentation`, which loads its network itself."""
        self.context = rclpy.Context()
        # A domain and a namespace for each: neither what is left of the last rig nor another test run on this
        # machine must be taken for a part of this one.
        number = next(_rigs)
        self.domain = 1 + number % DOMAINS
        self.namespace = f"/rig_{os.getpid()}_{number}"
        rclpy.init(context=self.context, domain_id=self.domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.client = rclpy.create_node("test_client", namespace=self.namespace, context=self.context)
        self.received: dict[str, list[Any]] = {}
        self.log: list[str] = []
        self.client.create_subscription(Log, "/rosout", self._on_log, LATCHED)
        self.qos = qos
        self.cameras: dict[str, Any] = {}
        for name in modalities:
            self.plug_in(name)
        self.network: Network | None = None

        def noted(settings: NodeSettings) -> Network:
            self.network = Network(load(settings))
            return self.network

        overrides = [Parameter("checkpoint", value=str(checkpoint))]
        overrides += [Parameter(name, value=value) for name, value in values.items()]
        make_node = make_node or partial(SegmentationNode, load=noted)
        self.node = make_node(context=self.context, namespace=self.namespace, parameter_overrides=overrides)
        self.name = self.node.get_name()
        for topic in listen:
            self.listen(topic)
        self.executor.add_node(self.client)
        self.executor.add_node(self.node)

    def _on_log(self, entry: Log) -> None:
        if entry.name == f"{self.namespace[1:]}.{self.node.get_name()}":
            self.log.append(entry.msg)

    @property
    def counters(self) -> Counters:
        return self.node.counters

    def plug_in(self, name: str, qos: QoSProfile | None = None) -> None:
        """Starts the camera of a modality."""
        self.cameras[name] = self.client.create_publisher(Image, image_topic(name), qos or self.qos)

    def unplug(self, name: str) -> None:
        """Ends the camera of a modality."""
        self.client.destroy_publisher(self.cameras.pop(name))

    def listen(self, topic: str) -> None:
        kept = self.received.setdefault(topic, [])
        self.client.create_subscription(Image, f"{self.name}/{topic}", kept.append, 20)

    def start(self, listening: Iterable[str] = ()) -> Rig:
        """Configures, activates, and waits until every connection stands, those to the outputs ``listening``
        too, which a test has subscribed to itself."""
        assert self.node.start()
        self.until(lambda: self.connected({*self.received, *listening}))
        return self

    def connected(self, topics: Iterable[str] | None = None) -> bool:
        """Whether the cameras, the node and the listeners on ``topics`` (those of the rig) see each other."""
        topics = self.received if topics is None else topics
        inputs = all(publisher.get_subscription_count() == 1 for publisher in self.cameras.values())
        listening = all(self.client.count_publishers(f"{self.name}/{topic}") for topic in topics)
        heard = all(self.node.count_subscribers(f"{self.name}/{topic}") for topic in topics)
        outputs = self.node.outputs
        subscribed = outputs is not None and outputs.subscribed() == {f"~/{topic}" for topic in topics}
        return inputs and listening and heard and subscribed

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], Any], seconds: float = 20.0) -> None:
        """Spins until ``condition`` holds; fails where it doesn't in time."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds} s in vain; log: {self.log}"
            self.executor.spin_once(timeout_sec=0.05)

    def wait_unread(self, name: str, seconds: float = 20.0) -> None:
        """Waits, without spinning, until an image lies in every queue of the node's input of a modality."""
        topic = self.node.cameras[0].inputs[name].topic
        for subscription in [s for s in self.node.subscriptions if s.topic_name == topic]:
            with subscription.handle:
                wait_set = _rclpy.WaitSet(1, 0, 0, 0, 0, 0, self.context.handle)
                wait_set.clear_entities()
                wait_set.add_subscription(subscription.handle)
                wait_set.wait(int(seconds * SECOND))
                assert wait_set.get_ready_entities("subscription"), f"nothing came on {topic}"

    def logged(self, *words: str) -> bool:
        """Whether a line of the node's log has all the words."""
        return any(all(word in line for word in words) for line in self.log)

    def send(self, rgb: Image | None = None, depth: Image | None = None, **others: Image) -> None:
        for name, message in {"rgb": rgb, "depth": depth, **others}.items():
            if message is not None:
                self.cameras[name].publish(message)

    def send_frame(self, stamp: int, seed: int = 0, names: Iterable[str] | None = None) -> None:
        """A good image of each modality, or of ``names``."""
        self.send(**{name: made(name, stamp, seed) for name in (self.cameras if names is None else names)})

    def mask(self, stamp: int, topic: str = "mask") -> Image:
        """Waits for the output of the pair stamped ``stamp``."""
        wanted = header(stamp).stamp
        self.until(lambda: any(m.header.stamp == wanted for m in self.received[topic]))
        return next(m for m in self.received[topic] if m.header.stamp == wanted)

    def good_frame_is_segmented(self, stamp: int) -> None:
        self.send_frame(stamp)
        assert self.mask(stamp).height == HEIGHT

    def close(self) -> None:
        self.node.close()
        self.executor.shutdown()
        self.node.destroy_node()
        self.client.destroy_node()
        rclpy.try_shutdown(context=self.context)


def expected_labels(checkpoint: Path, *images: np.ndarray | None, **others: np.ndarray) -> np.ndarray:
    """What the engine makes of the arrays themselves: rgb, depth, and others by name."""
    return engine(checkpoint)(*images, confidence=False, **others).numpy().labels


@functools.cache
def engine(checkpoint: Path) -> Segmenter:
    return Segmenter(load_checkpoint(checkpoint), device="cpu")


def call(rig: Rig, service: Any, name: str, request: Any) -> Any:
    """The answer of the node's service ``name``."""
    client = rig.client.create_client(service, f"{rig.name}/{name}")
    rig.until(client.service_is_ready)
    future = client.call_async(request)
    rig.until(future.done)
    return future.result()
