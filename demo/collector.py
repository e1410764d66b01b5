"""Receives what the player and the node publish: counts, times, and keeps views to make pictures of."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node
from sensor_msgs.msg import Image

from asymfusion_demo.player import DEPTH_TOPIC, QOS, RGB_TOPIC
from asymfusion_demo.recording import NANOSECONDS
from asymfusion_demo.summary import Statistics
from asymfusion_demo.views import PANEL_WIDTH, View, ViewAssembler

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
        """``offset``: nanoseconds since the first RGB stamp. ``view`` makes the view of a width if wanted."""
        slot = int(offset / (self.interval * NANOSECONDS))
        if slot not in self._slots:
            self._slots.add(slot)
            self.views.append(view(self.width))


class Collector:
    """Subscribes to the inputs and to ``node_name``'s mask and overlay. ``seconds``: of the recording."""

    def __init__(self, node: Node, node_name: str, seconds: float) -> None:
        self.statistics = Statistics()
        self.pictures = Sampler(max(1.0, seconds / LARGEST_SET), PANEL_WIDTH)
        self.animation = Sampler(max(ANIMATION_STEP, seconds / LARGEST_SET), ANIMATION_WIDTH)
        self._assembler = ViewAssembler()
        topics = {
            "rgb": RGB_TOPIC,
            "depth": DEPTH_TOPIC,
            "mask": f"{node_name}/mask",
            "overlay": f"{node_name}/overlay",
        }
        for kind, topic in topics.items():
            node.create_subscription(Image, topic, self._receiver(kind), QOS)

    @property
    def awaits_overlay(self) -> bool:
        """Whether the overlay that belongs to the newest mask is still to come."""
        masks = self.statistics.masks
        return bool(masks) and not self._assembler.complete(max(masks))

    def _receiver(self, kind: str) -> Callable[[Image], None]:
        def receive(message: Image) -> None:
            at = time.monotonic_ns()
            stamp = message.header.stamp.sec * NANOSECONDS + message.header.stamp.nanosec
            if kind == "mask":
                self.statistics.masks.setdefault(stamp, at)
            self._assembler.add(kind, stamp, message)
            if kind in ("mask", "overlay") and self._assembler.complete(stamp):
                self._sample(stamp)

        return receive

    def _sample(self, stamp: int) -> None:
        offset = stamp - min(self.statistics.masks)
        for sampler in (self.pictures, self.animation):
            sampler.offer(offset, lambda width: self._assembler.view(stamp, width))
