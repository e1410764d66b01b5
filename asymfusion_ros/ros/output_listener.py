"""Hears a segmentation node's cameras and its outputs, and puts together what is of one frame."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from asymfusion_ros.data.labels import VOID
from asymfusion_ros.data.modality import KNOWN, Modality, Scalar
from asymfusion_ros.engine.segmenter import reference_name
from asymfusion_ros.errors import ConfigError, ImageError
from asymfusion_ros.messages.fields import ImageMessage
from asymfusion_ros.messages.raw import RawDecoder
from asymfusion_ros.messages.stamped_image import Frame
from asymfusion_ros.ros.camera import Camera
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.node_topics import image_topics
from asymfusion_ros.ros.qos import LATCHED_PROFILE, OUTPUT_PROFILE
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.join import StampJoin
from asymfusion_ros.stream.pairing import stamp_nanoseconds

FRAME, MASK = "frame", "mask"
LEVELS = ("confidence", "disagreement")
KEPT = 60  # frames that wait for their outputs
WAIT = 5.0  # seconds for a node to be seen
PATIENCE = 3.0  # seconds for a node to publish masks
OUTPUT = Scalar("output", "output")


@dataclass(frozen=True)
class Heard:
    """What came of one frame. stamp: nanoseconds. frame: its images, or None; outputs: H x W uint8 by name
    (mask, confidence, disagreement). seconds: from its image's arrival here to its mask's."""

    stamp: int
    frame: Frame | None
    outputs: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    seconds: float | None = None


class OutputListener:
    """A node of its own that subscribes to the images of ``modalities`` (by topic, as the node ``name`` is
    remapped) and to the outputs of that node, until closed.

    ``topics``: the image topic of each modality; empty to take those that the node subscribes to. Raises
    ConfigError where it does not within WAIT seconds.

    modalities: what the images are. camera: their input. notes: the
    log. names: of the labels, once ``~/label_info``
    has come.
    """

    def __init__(self, name: str, topics: Mapping[str, str], settings: Mapping[str, Any]) -> None:
        self.name = name if name.startswith("/") else f"/{name}"
        self.names: tuple[str, ...] | None = None
        self._context = rclpy.Context()
        # Not rclpy's signal handlers: a Ctrl-C is to reach the caller as a KeyboardInterrupt.
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        try:
            found = {one: (topic, None) for one, topic in topics.items()} or self._asked()
            self._subscribe(found, settings)
        except BaseException:
            rclpy.try_shutdown(context=self._context)
            raise

    def _subscribe(self, topics: Mapping[str, tuple[str, str | None]], settings: Mapping[str, Any]) -> None:
        self.modalities: dict[str, Modality] = {name: _known(name) for name in topics}
        rules = [f"{one.topic}:={topics[name][0]}" for name, one in self.modalities.items()]
        self._node = rclpy.create_node(
            f"asymfusion_view_{os.getpid()}",
            context=self._context,
            cli_args=["--ros-args", *(word for rule in rules for word in ("-r", rule))],
            start_parameter_services=False,
        )
        chosen = {
            "depth_image_transport" if one.kind == "range" else "image_transport": topics[name][1]
            for name, one in self.modalities.items()
        }
        given = {**settings, **{name: value for name, value in chosen.items() if value is not None}}
        self.notes = ThrottledLog(self._node.get_logger())
        self._join: StampJoin[Any] = StampJoin(MASK, KEPT)
        self._ready: list[Heard] = []
        modalities = list(self.modalities.values())
        self.camera = Camera(
            self._node, modalities, NodeSettings(**given), Counters(), self.notes, self._on_frame
        )
        self.camera.geometry.without_points = "there is no cloud"
        self._decoder = RawDecoder(lambda line: None)
        self._outputs = {output: f"{self.name}/{output}" for output in (MASK, *LEVELS)}
        for output, topic in self._outputs.items():
            self._node.create_subscription(Image, topic, partial(self._on_output, output), OUTPUT_PROFILE)
        self._label_info()
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._segmented = (
            time.monotonic()
        )  # when somebody published masks last; at first the benefit of doubt
        self._told = False

    def listen(self, seconds: float) -> list[Heard]:
        """What is put together in the next ``seconds``, or as soon as something is."""
        end = time.monotonic() + seconds
        self._look()
        while not self._ready and (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)
        ready, self._ready = self._ready, []
        return ready

    def close(self) -> None:
        """Takes the node off the graph."""
        self.camera.close()
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _asked(self) -> dict[str, tuple[str, str]]:
        """The image topics that the node subscribes to, by modality, with their transports."""
        node = rclpy.create_node(
            f"asymfusion_view_{os.getpid()}", context=self._context, start_parameter_services=False
        )
        try:
            end = time.monotonic() + WAIT
            while not (found := image_topics(node, self.name)) and time.monotonic() < end:
                time.sleep(0.1)
            if found:
                return dict(found)
            kind = "sensor_msgs/msg/Image"
            others = [
                topic.removesuffix("/mask")
                for topic, types in node.get_topic_names_and_types()
                if topic.endswith("/mask") and kind in types
            ]
            advice = f"--node takes another ({', '.join(others)})" if others else "start it"
            raise ConfigError(
                f"no node {self.name} subscribes to images: {advice}, or name the cameras' topics with --rgb "
                "and --depth"
            )
        finally:
            node.destroy_node()

    def _label_info(self) -> None:
        try:
            from vision_msgs.msg import LabelInfo
        except ImportError:
            return
        topic = f"{self.name}/label_info"
        self._node.create_subscription(LabelInfo, topic, self._on_label_info, LATCHED_PROFILE)

    def _look(self) -> None:
        """Follows which outputs there are."""
        there = [name for name, topic in self._outputs.items() if self._node.count_publishers(topic)]
        now = time.monotonic()
        if MASK in there:
            self._segmented, self._told = now, False
        elif now - self._segmented < PATIENCE:
            there.append(MASK)
        elif not self._told:
            self._told = True
            self._node.get_logger().warning(
                f"nobody publishes {self._outputs[MASK]}: the cameras' images alone are shown"
            )
        self._join.needed = (FRAME, *there)

    def _on_frame(self, frame: Frame) -> None:
        reference = frame[reference_name(frame)]
        self._add(stamp_nanoseconds(reference.header.stamp), FRAME, frame)

    def _on_output(self, name: str, message: ImageMessage) -> None:
        try:
            image = self._decoder.decode(message, OUTPUT).read()
            if image.encoding != "mono8":
                raise ImageError(f"its encoding is {image.encoding}, not mono8")
        except ImageError as error:
            self.notes.warning((name, "output"), f"{self._outputs[name]}: skipped: {error}")
            return
        pixels = np.ascontiguousarray(image.pixels(), np.uint8)
        self._add(stamp_nanoseconds(message.header.stamp), name, (pixels, time.monotonic()))

    def _add(self, stamp: int, name: str, part: Any) -> None:
        for one, parts in self._join.add(stamp, name, part):
            frame: Frame | None = parts.pop(FRAME, None)
            seconds = None
            if frame is not None and MASK in parts:
                arrived = frame[reference_name(frame)].arrived
                seconds = max(0.0, parts[MASK][1] - arrived)
            outputs = {output: pixels for output, (pixels, _) in parts.items()}
            self._ready.append(Heard(one, frame, outputs, seconds))

    def _on_label_info(self, message: Any) -> None:
        self.names = label_names(message)


def label_names(message: Any) -> tuple[str, ...]:
    """The names of the labels 0, 1, ... in a vision_msgs/LabelInfo; a number where one has none."""
    classes = {int(one.class_id): str(one.class_name) for one in message.class_map}
    known = [index for index in classes if index < VOID]
    return tuple(classes.get(index, str(index)) for index in range(max(known, default=-1) + 1))


def _known(name: str) -> Modality:
    if name not in KNOWN:
        raise ConfigError(f"--topic {name}=...: images of {', '.join(KNOWN)} can be shown live")
    return KNOWN[name]
