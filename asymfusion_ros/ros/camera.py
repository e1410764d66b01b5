"""A camera's images in, frames out: what happens in the executor's thread while the node is active.

Each image is checked when it arrives, so that one that can't be used takes no place in a queue; good ones are
paired by stamp. A timer looks at who is silent and at what the publishers offer.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold  # type: ignore[attr-defined]
from rclpy.duration import Duration
from rclpy.node import Node

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.errors import ImageError
from asymfusion_ros.ros.inputs.geometry import CameraGeometry
from asymfusion_ros.ros.inputs.subscription import ImageInput
from asymfusion_ros.ros.inputs.synchronizer import Synchronizer, implementation_name
from asymfusion_ros.ros.inputs.transports import load_transports
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.messages import Message
from asymfusion_ros.ros.scene import Frame
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.health import StreamHealth
from asymfusion_ros.stream.pairing import stamp_nanoseconds
from asymfusion_ros.stream.stamps import StampMeter

SILENT_AFTER = 3.0  # seconds without a message after which it is logged
UNPAIRED_AFTER = 1.0  # seconds without a pair, while images come, after which it is logged
GAP_WINDOW = 10.0  # seconds of the newest pairs whose stamps are compared
WATCH_PERIOD = 0.5  # seconds between two looks at the topics' health and at their publishers


class Camera:
    """Subscribes to the topic of each of ``modalities`` and calls ``on_frame`` for each frame, until closed.

    A frame has an image of every modality, or of those that are left where others have been missing for
    ``missing_after`` seconds.

    Attributes: ``inputs``, a subscription for each modality; ``health``, of their streams; ``counters``;
    ``stamps``, how far they are apart; ``geometry``, of its cameras.
    """

    def __init__(
        self,
        node: Node,
        modalities: Sequence[Modality],
        settings: NodeSettings,
        counters: Counters,
        log: ThrottledLog,
        on_frame: Callable[[Frame], None],
    ) -> None:
        names = [modality.name for modality in modalities]
        self._node = node
        self._settings = settings
        self._log = log
        self._on_frame = on_frame
        self.counters = counters
        counters.expect(names)
        self.health = StreamHealth(
            names, SILENT_AFTER, UNPAIRED_AFTER, settings.missing_after, time.monotonic()
        )
        self.stamps = StampMeter(names, GAP_WINDOW)
        self._synchronizer = self._synchronize(names)
        transports = load_transports(modalities, settings, lambda line: log.info_once(line, line))
        self.inputs = {
            modality.name: ImageInput(
                node, modality, transports[modality.name], partial(self._on_message, modality.name)
            )
            for modality in modalities
        }
        self.geometry = CameraGeometry(node, modalities, settings, log)
        # Steady: it must run on where simulated time stands still.
        self._timer: Any = node.create_timer(
            WATCH_PERIOD, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._clock_jumps: Any = node.get_clock().create_jump_callback(
            JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1)),
            post_callback=lambda jump: self._synchronizer.clear(),
        )

    def close(self) -> None:
        """Unsubscribes; no frame comes afterwards."""
        self._clock_jumps.unregister()
        self._node.destroy_timer(self._timer)
        for source in self.inputs.values():
            source.close()
        self.geometry.close()

    def description(self) -> str:
        """One line for the log: what is waited for, and who pairs it."""
        topics = _listed([source.topic for source in self.inputs.values()])
        if len(self.inputs) == 1:
            return f"waiting for images of {topics}: the checkpoint takes no other modality"
        slop = self._settings.slop
        matching = f"within {slop:g} s" if slop > 0 else "of equal stamps"
        what = "pairs" if len(self.inputs) == 2 else "sets of images"
        return f"waiting for {what} {matching} of {topics} (paired by {implementation_name()})"

    def faults(self, now: float) -> dict[str, str]:
        """What is wrong with the streams, a line each: topics that are silent, by modality, and images that
        do not pair, under "pairing"; what is lacking of the cameras' geometry. ``now``: of
        ``time.monotonic()``.
        """
        return self._stream_faults(now) | self.geometry.faults(now)

    def _stream_faults(self, now: float) -> dict[str, str]:
        found = {}
        for name in self.health.silent(now):
            source, quiet = self.inputs[name], self.health.topics[name].silence(now)
            found[name] = f"{source.topic}: silent for {quiet:.0f} s: {source.advice()}"
        offset = self.health.unpaired_offset(now)
        if offset is not None:
            names = self.health.available(now)
            topics = "both topics" if len(names) == 2 else f"the topics of {_listed(names)}"
            found["pairing"] = (
                f"{topics} send images but none pair within slop = {self._settings.slop:g} s; the newest "
                f"stamps are {offset / 1e9:.3f} s apart: raise slop, or give all cameras the same clock"
            )
        return found

    def _on_message(self, name: str, message: Message) -> None:
        try:
            self._receive(name, message)
        except Exception:
            self._log.error((name, "callback"), f"an image was lost:\n{traceback.format_exc()}")

    def _receive(self, name: str, message: Message) -> None:
        now = time.monotonic()
        source = self.inputs[name]
        self.counters.received[name] += 1
        stamp = stamp_nanoseconds(message.header.stamp)
        try:
            _check_stamp(stamp)
            image = source.decode(message)
        except ImageError as error:
            self.counters.rejected += 1
            self.health.refused(name, now)
            self._log.warning((name, "rejected"), f"{source.topic}: image skipped: {error}")
            return
        self.stamps.arrived(name, now, stamp)
        if self.health.arrived(name, now, stamp):
            self._synchronizer.jumped_back(stamp)
            self._log.warning(
                (name, "jump"),
                f"{source.topic}: stamps went back in time (a recording that loops, or a driver that "
                "restarted?): what waited for a partner is forgotten",
            )
        available = self.health.available(now)
        if available != self._synchronizer.modalities:
            self._log_change(self._synchronizer.modalities, available, now)
            self._synchronizer = self._synchronize(available)
        self._synchronizer.add(name, image)

    def _synchronize(self, names: Sequence[str]) -> Synchronizer:
        return Synchronizer(names, self._settings.slop, self._settings.queue_size, self._on_images)

    def _on_images(self, frame: Frame) -> None:
        if len(frame) == len(self.inputs):
            self.counters.paired += len(frame) > 1
        else:
            self.counters.incomplete += 1
        now = time.monotonic()
        self.counters.framed += len(frame)
        self.stamps.paired(now, [stamp_nanoseconds(image.header.stamp) for image in frame.values()])
        self.health.paired(now)
        self._on_frame(frame)

    def _log_change(self, before: Sequence[str], available: Sequence[str], now: float) -> None:
        rest = f"only {available[0]}" if len(available) == 1 else _listed(available)
        for name in self.inputs:
            source, limit = self.inputs[name], self._settings.missing_after
            if name in before and name not in available:
                line = f"{source.topic}: nothing usable for {limit:g} s (missing_after): going on with {rest}"
                if self.health.topics[name].silence(now) >= limit:
                    line += f"; {source.advice()}"
                self._log.warning((name, "missing"), line)
            elif name in available and name not in before:
                self._log.info((name, "back"), f"{source.topic}: it is back; going on with {rest}")

    def _on_timer(self) -> None:
        try:
            for source in self.inputs.values():
                if change := source.follow_publishers():
                    self._node.get_logger().info(f"{source.topic}: {change}")
            self.geometry.follow_publishers()
            self.geometry.log_faults(time.monotonic())
            missing = set(self.inputs) - set(self._synchronizer.modalities)
            for key, line in self._stream_faults(time.monotonic()).items():
                # A modality that is missing has its own line, once.
                if key not in missing:
                    self._log.warning((key, "fault"), line)
        except Exception:
            self._log.error("timer", f"the topics could not be watched:\n{traceback.format_exc()}")


def _check_stamp(stamp: int) -> None:
    # message_filters raises at a negative stamp with its lock held, and would block at the next image.
    if stamp <= 0:
        value = "zero" if stamp == 0 else f"negative ({stamp / 1e9:g} s)"
        raise ImageError(f"its stamp is {value}, so it can't be paired: let the driver stamp its images")


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``"""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
