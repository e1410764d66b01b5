"""Receives what the player and the node publish: counts, times, and keeps views to make pictures of."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import Image

from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.demo.assembler import PANEL_WIDTH, ViewAssembler
from asymfusion_ros.demo.player import QOS
from asymfusion_ros.demo.summary import Statistics
from asymfusion_ros.demo.views import View
from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages.fields import ImageMessage
from asymfusion_ros.recordings.recording import NANOSECONDS
from asymfusion_ros.ros.diagnostics import TASK, TOPIC

LARGEST_SET = 60  # pictures and animation frames: a long recording is sampled more thinly
ANIMATION_STEP = 0.25  # seconds
ANIMATION_WIDTH = 360


class Sampler:
    """Keeps the first view of every ``interval`` seconds, reduced to ``width`` columns."""

    def __init__(self, interval: float, width: int) -> None:
        self.interval = interval
        self.width = width
        self.views: list[View] = []
        self._slots: set[int] = set()

    def offer(self, offset: int, view: Callable[[int], View]) -> None:
        """``offset``: nanoseconds since the first RGB stamp. ``view`` makes the view of a width if wanted;
        where it raises, the next view offered takes the place.
        """
        slot = int(offset / (self.interval * NANOSECONDS))
        if slot not in self._slots:
            self.views.append(view(self.width))
            self._slots.add(slot)


class Collector:
    """Subscribes to the inputs and to ``node_name``'s mask and overlay, and to its counters in /diagnostics.

    ``seconds``: of the recording. ``log`` gets a line for each encoding that has to be converted and
    for images that cannot be drawn.

    Attributes: ``statistics``; ``counters``, the newest of the node's own, by name; ``reports``, how often
    they came.
    """

    def __init__(self, node: Node, node_name: str, seconds: float, log: Callable[[str], None]) -> None:
        self.statistics = Statistics()
        self.counters: dict[str, int] = {}
        self.reports = 0
        self.pictures = Sampler(max(1.0, seconds / LARGEST_SET), PANEL_WIDTH)
        self.animation = Sampler(max(ANIMATION_STEP, seconds / LARGEST_SET), ANIMATION_WIDTH)
        self._assembler = ViewAssembler(log)
        self._log = log
        self._faults: set[str] = set()
        topics = {name: image_topic(name) for name in ("rgb", "depth")}
        topics |= {name: f"{node_name}/{name}" for name in ("mask", "overlay")}
        for name, topic in topics.items():
            node.create_subscription(Image, topic, self._receiver(name), QOS)
        status_name = f"{node.resolve_topic_name(node_name).lstrip('/')}: {TASK}"
        with suppress(ImportError):
            from diagnostic_msgs.msg import DiagnosticArray

            node.create_subscription(DiagnosticArray, TOPIC, partial(self._on_diagnostics, status_name), 10)

    @property
    def awaits_overlay(self) -> bool:
        """Whether the overlay that belongs to the newest mask is still to come."""
        masks = self.statistics.masks
        return bool(masks) and not self._assembler.complete(max(masks))

    def _on_diagnostics(self, status_name: str, message: Any) -> None:
        for status in message.status:
            if status.name == status_name:
                self.counters = {one.key: int(one.value) for one in status.values if one.value.isdigit()}
                self.reports += 1

    def _receiver(self, name: str) -> Callable[[ImageMessage], None]:
        def receive(message: ImageMessage) -> None:
            at = time.monotonic_ns()
            stamp = message.header.stamp.sec * NANOSECONDS + message.header.stamp.nanosec
            if name == "mask":
                self.statistics.masks.setdefault(stamp, at)
            self._assembler.add(name, stamp, message)
            # Topics are delivered side by side: any of the three may come last.
            if name != "depth" and self._assembler.complete(stamp):
                self._sample(stamp)

        return receive

    def _sample(self, stamp: int) -> None:
        offset = stamp - min(self.statistics.masks)
        try:
            for sampler in (self.pictures, self.animation):
                sampler.offer(offset, lambda width: self._assembler.view(stamp, width))
        except ImageError as error:
            # One picture less; the masks are counted all the same. A stream of such images is one line.
            if str(error) not in self._faults:
                self._faults.add(str(error))
                self._log(f"no picture of an image: {error}")
