"""A segmentation node, a camera and a listener in one process, on real DDS."""

from __future__ import annotations

import array
import functools
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import torch
from builtin_interfaces.msg import Time
from rcl_interfaces.msg import Log
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint, save_checkpoint
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.ros.node import SegmentationNode

# Never on a robot's network, and away from other test runs. Read when a context is made.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
DOMAINS = 100  # 1 to 100 are free of the ports that Linux hands out
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % DOMAINS)
_rigs = itertools.count(os.getpid())

RGB_TOPIC = "rgb/image_rect_color"
DEPTH_TOPIC = "depth_registered/image_rect"
RELIABLE = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
HEIGHT, WIDTH = 48, 64
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights, whose masks differ from input to input."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")


def make_checkpoint(path: Path, modalities: tuple[str, ...] = ("rgb", "depth")) -> Path:
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


class Rig:
    """The node under test with a camera's publishers and a listener on every output and on the log."""

    def __init__(
        self, checkpoint: Path, qos: QoSProfile = RELIABLE, listen: tuple[str, ...] = ("mask",), **values: Any
    ) -> None:
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
        for topic in listen:
            self.listen(topic)
        self.rgb: Any = self.client.create_publisher(Image, RGB_TOPIC, qos)
        self.depth: Any = self.client.create_publisher(Image, DEPTH_TOPIC, qos)
        overrides = [Parameter("checkpoint", value=str(checkpoint))]
        overrides += [Parameter(name, value=value) for name, value in values.items()]
        self.node = SegmentationNode(
            context=self.context, namespace=self.namespace, parameter_overrides=overrides
        )
        self.executor.add_node(self.client)
        self.executor.add_node(self.node)

    def _on_log(self, entry: Log) -> None:
        if entry.name == f"{self.namespace[1:]}.segmentation":
            self.log.append(entry.msg)

    def listen(self, topic: str) -> None:
        kept = self.received.setdefault(topic, [])
        self.client.create_subscription(Image, f"segmentation/{topic}", kept.append, 20)

    def start(self) -> Rig:
        """Configures, activates, and waits until every connection stands."""
        assert self.node.start()
        self.until(self.connected)
        return self

    def connected(self) -> bool:
        publishers = [p for p in (self.rgb, self.depth) if p is not None]
        inputs = all(publisher.get_subscription_count() == 1 for publisher in publishers)
        listening = all(self.client.count_publishers(f"segmentation/{topic}") for topic in self.received)
        heard = all(self.node.count_subscribers(f"segmentation/{topic}") for topic in self.received)
        wanted = self.node._outputs.wanted() == set(self.received)
        return inputs and listening and heard and wanted

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

    def said(self, *words: str) -> bool:
        """Whether a line of the node's log has all the words."""
        return any(all(word in line for word in words) for line in self.log)

    def send(self, rgb: Image | None, depth: Image | None) -> None:
        if rgb is not None:
            self.rgb.publish(rgb)
        if depth is not None:
            self.depth.publish(depth)

    def send_pair(self, stamp: int, seed: int = 0) -> None:
        self.send(image(picture(seed), "rgb8", stamp), image(distances(seed), "16UC1", stamp))

    def mask(self, stamp: int, topic: str = "mask") -> Image:
        """Waits for the output of the pair stamped ``stamp``."""
        wanted = header(stamp).stamp
        self.until(lambda: any(m.header.stamp == wanted for m in self.received[topic]))
        return next(m for m in self.received[topic] if m.header.stamp == wanted)

    def good_pair_is_segmented(self, stamp: int) -> None:
        self.send_pair(stamp)
        assert self.mask(stamp).height == HEIGHT

    def close(self) -> None:
        self.node.close()
        self.executor.shutdown()
        self.node.destroy_node()
        self.client.destroy_node()
        rclpy.try_shutdown(context=self.context)


def expected_labels(checkpoint: Path, rgb: np.ndarray | None, depth: np.ndarray | None) -> np.ndarray:
    """What the engine makes of the arrays themselves."""
    return engine(checkpoint)(rgb, depth, confidence=False).numpy().labels


@functools.cache
def engine(checkpoint: Path) -> Segmenter:
    return Segmenter(load_checkpoint(checkpoint), device="cpu")
