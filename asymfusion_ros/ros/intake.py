"""Images in, pairs out: everything that happens in the executor's thread while the node is active.

Each image is checked when it arrives, so that one that can't be used takes no place in a queue; good ones are
paired by stamp and handed over. A timer looks at who is silent and at what the publishers offer.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node
from sensor_msgs.msg import Image

from asymfusion_ros.errors import ImageError
from asymfusion_ros.ros.images import check_rgb, read_depth
from asymfusion_ros.ros.inputs.subscription import ImageInput
from asymfusion_ros.ros.inputs.synchronizer import PairSynchronizer
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.pairs import Pair
from asymfusion_ros.ros.parameters import Settings
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.health import StreamHealth
from asymfusion_ros.stream.pairing import stamp_nanoseconds

TOPICS = {"rgb": "rgb/image_rect_color", "depth": "depth_registered/image_rect"}
OTHER = {"rgb": "depth", "depth": "rgb"}
SILENT_AFTER = 3.0  # seconds without a message after which the log says so
UNPAIRED_AFTER = 1.0  # seconds without a pair, while images come, after which the log says so
WATCH_PERIOD = 0.5  # seconds between two looks at the topics' health and at their publishers


class Intake:
    """Subscribes to the topics of ``modalities`` ("rgb", "depth" or both) and calls ``hand_over(pair)`` for
    each pair, until closed. Where the network takes one modality alone, each image is a pair by itself.
    """

    def __init__(
        self,
        node: Node,
        modalities: Sequence[str],
        settings: Settings,
        counters: Counters,
        say: ThrottledLog,
        hand_over: Callable[[Pair], None],
    ) -> None:
        self._node = node
        self._settings = settings
        self._counters = counters
        self._say = say
        self._hand_over = hand_over
        self._health = StreamHealth(tuple(modalities), SILENT_AFTER, UNPAIRED_AFTER, time.monotonic())
        self._synchronizer = PairSynchronizer(settings.slop, settings.queue_size, self._on_pair)
        self._inputs = {
            kind: ImageInput(node, topic, functools.partial(self._on_image, kind))
            for kind, topic in TOPICS.items()
            if kind in modalities
        }
        # Steady: it must run on where simulated time stands still.
        self._timer: Any = node.create_timer(
            WATCH_PERIOD, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._clock_jumps: Any = node.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=lambda jump: self._synchronizer.clear(),
        )

    def close(self) -> None:
        self._clock_jumps.unregister()
        self._node.destroy_timer(self._timer)
        for source in self._inputs.values():
            source.close()

    def description(self) -> str:
        """One line for the log: what is waited for, and who pairs it."""
        if len(self._inputs) == 1:
            (source,) = self._inputs.values()
            return f"waiting for images of {source.topic}: the checkpoint takes no other modality"
        slop = self._settings.slop
        matching = f"within {slop:g} s" if slop > 0 else "of equal stamps"
        return (
            f"waiting for pairs {matching} of {self._inputs['rgb'].topic} and {self._inputs['depth'].topic} "
            f"(paired by {self._synchronizer.implementation_name})"
        )

    def _on_image(self, kind: str, message: Image) -> None:
        try:
            self._accept(kind, message)
        except Exception:
            self._say.error((kind, "callback"), f"an image was not taken in:\n{traceback.format_exc()}")

    def _accept(self, kind: str, message: Image) -> None:
        now = time.monotonic()
        topic = self._inputs[kind].topic
        self._counters.received(kind)
        stamp = stamp_nanoseconds(message.header.stamp)
        try:
            _check(kind, message, stamp)
        except ImageError as error:
            self._counters.rejected += 1
            self._health.refused(kind, now)
            self._say.warning((kind, "rejected"), f"{topic}: image skipped: {error}")
            return
        if self._health.arrived(kind, now, stamp):
            self._synchronizer.jumped_back(stamp)
            self._say.warning(
                (kind, "jump"),
                f"{topic}: stamps went back in time (a recording that loops, or a driver that restarted?): "
                "what waited for a partner is forgotten",
            )
        alone = Pair(message, None) if kind == "rgb" else Pair(None, message)
        if len(self._inputs) == 1:
            self._health.paired(now)
            self._hand_over(alone)
        elif self._health.missing(OTHER[kind], now, self._settings.missing_after):
            self._counters.alone += 1
            self._say.warning(
                (OTHER[kind], "missing"),
                f"{self._inputs[OTHER[kind]].topic}: nothing usable for {self._settings.missing_after:g} s "
                f"(missing_after): {topic} is segmented alone",
            )
            self._hand_over(alone)
        else:
            self._synchronizer.add(kind, message)

    def _on_pair(self, rgb: Image, depth: Image) -> None:
        self._counters.paired += 1
        self._health.paired(time.monotonic())
        self._hand_over(Pair(rgb, depth))

    def _on_timer(self) -> None:
        try:
            self._follow_publishers()
            self._report_faults(time.monotonic())
        except Exception:
            self._say.error("timer", f"the topics could not be looked after:\n{traceback.format_exc()}")

    def _follow_publishers(self) -> None:
        for source in self._inputs.values():
            change = source.follow_publishers()
            if change:
                self._node.get_logger().info(f"{source.topic}: {change}")

    def _report_faults(self, now: float) -> None:
        for kind in self._health.silent(now):
            source = self._inputs[kind]
            quiet = self._health.topics[kind].silence(now)
            self._say.warning(
                (kind, "silent"), f"{source.topic}: silent for {quiet:.0f} s: {source.advice()}"
            )
        offset = self._health.unpaired_offset(now)
        if offset is not None:
            self._say.warning(
                "unpaired",
                f"both topics send images but none pair within slop = {self._settings.slop:g} s; the newest "
                f"stamps are {offset / 1e9:.3f} s apart: raise slop, or give both cameras the same clock",
            )


def _check(kind: str, message: Image, stamp: int) -> None:
    # message_filters raises at a negative stamp with its lock held, and would block at the next image.
    if stamp <= 0:
        value = "zero" if stamp == 0 else f"negative ({stamp / 1e9:g} s)"
        raise ImageError(f"its stamp is {value}, so it can't be paired: let the driver stamp its images")
    if kind == "rgb":
        check_rgb(message)
    else:
        read_depth(message)
