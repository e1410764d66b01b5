"""Receives what the player and the node publish: counts, times, and keeps views to make pictures of."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node
from sensor_msgs.msg import Image

from asymfusion_ros.demo.assembler import PANEL_WIDTH, ViewAssembler
from asymfusion_ros.demo.player import QOS
from asymfusion_ros.demo.summary import Statistics
from asymfusion_ros.demo.views import View
from asymfusion_ros.errors import ImageError
from asymfusion_ros.recordings.recording import NANOSECONDS
from asymfusion_ros.ros.intake import TOPICS

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
    """Subscribes to the inputs and to ``node_name``'s mask and overlay. ``seconds``: of the recording.

    ``say`` gets a line for each kind of image that has to be converted or cannot be drawn.
    """

    def __init__(self, node: Node, node_name: str, seconds: float, say: Callable[[str], None]) -> None:
        self.statistics = Statistics()
        self.pictures = Sampler(max(1.0, seconds / LARGEST_SET), PANEL_WIDTH)
        self.animation = Sampler(max(ANIMATION_STEP, seconds / LARGEST_SET), ANIMATION_WIDTH)
        self._assembler = ViewAssembler(say)
        self._say = say
        self._faults: set[str] = set()
        topics = {**TOPICS, "mask": f"{node_name}/mask", "overlay": f"{node_name}/overlay"}
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
            # Topics are delivered side by side: any of the three may come last.
            if kind != "depth" and self._assembler.complete(stamp):
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
                self._say(f"no picture of an image: {error}")
