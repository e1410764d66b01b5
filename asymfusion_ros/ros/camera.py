"""A camera's images in, frames out: what happens in the executor's thread while the node is active.

Each image is checked when it arrives, so that one that can't be used takes no place in a queue; good ones are
paired by stamp. A timer looks at who is silent or missing, at the clock, and at what the publishers offer.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rclpy.clock import Clock, ClockChange, ClockType, JumpThreshold, TimeJump  # type: ignore[attr-defined]
from rclpy.duration import Duration
from rclpy.node import Node

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.errors import ImageError
from asymfusion_ros.ros.inputs.geometry import CameraGeometry
from asymfusion_ros.ros.inputs.subscription import ImageInput
from asymfusion_ros.ros.inputs.synchronizer import Synchronizer, implementation_name
from asymfusion_ros.ros.inputs.transports import Transport, load_transports
from asymfusion_ros.ros.log import ThrottledLog, shortened
from asymfusion_ros.ros.messages import Message
from asymfusion_ros.ros.scene import Frame
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.ros.stream_faults import RECENT, jump_line, late_line, stream_faults
from asymfusion_ros.stream.clock import ClockHealth
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.health import StreamHealth
from asymfusion_ros.stream.lateness import Lateness
from asymfusion_ros.stream.order import Order
from asymfusion_ros.stream.pairing import stamp_nanoseconds
from asymfusion_ros.stream.stamps import StampMeter

SILENT_AFTER = 3.0  # seconds without a message after which it is logged
UNPAIRED_AFTER = 1.0  # seconds without a pair, while images come, after which it is logged
LOOK_PERIOD = 0.1  # seconds between two looks at what publishers offer and at who is missing
WATCH_PERIOD = 0.5  # seconds between two looks at the topics' health; a change of reliability takes as long
GAP_WINDOW = 10.0  # seconds of the newest pairs whose stamps are compared


class Camera:
    """Subscribes to the topic of each of ``modalities`` and calls ``on_frame`` for each frame, until closed.

    A frame has an image of every modality. Where images wait for ``missing_after`` seconds in vain, frames
    have an image of those modalities that do come and pair, until all pair again.

    Attributes: ``inputs``, a subscription for each modality; ``health``, of their streams; ``lateness``, of
    images that come after their partners; ``counters``; ``stamps``, how far they are apart;
    ``geometry``, of its cameras.
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
            names, SILENT_AFTER, UNPAIRED_AFTER, settings.missing_after, time.monotonic(), settings.slop
        )
        self.stamps = StampMeter(names, GAP_WINDOW)
        self.lateness = Lateness(self.health.topics, self.health.slop_nanoseconds, settings.queue_size)
        self._clock = ClockHealth()
        self._clock_jump: tuple[float, str] | None = None
        self._order = Order()
        self._synchronizer = self._synchronize(names)
        # Of those that come, while others are missing.
        self._reduced: Synchronizer | None = None
        self._watched = time.monotonic()
        transports = load_transports(modalities, settings, lambda line: log.info_once(line, line))
        self.inputs = self._subscribe(modalities, transports)
        try:
            self.geometry = CameraGeometry(node, modalities, settings, log)
        except BaseException:
            self._unsubscribe(self.inputs)
            raise
        # Steady: it must run on where simulated time stands still.
        self._timer: Any = node.create_timer(
            LOOK_PERIOD, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._clock_jumps: Any = node.get_clock().create_jump_callback(
            JumpThreshold(min_forward=Duration(seconds=5), min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_clock_jump,
        )

    def close(self) -> None:
        """Unsubscribes; no frame comes afterwards."""
        self._clock_jumps.unregister()
        self._node.destroy_timer(self._timer)
        for source in self.inputs.values():
            source.close()
        self.geometry.close()

    def settings_changed(self) -> None:
        """Goes by the slop and missing_after that the settings have now. Where slop changed, what waits for a
        partner is forgotten.
        """
        self.health.change(self._settings.missing_after, self._settings.slop)
        self.lateness.slop_nanoseconds = self.health.slop_nanoseconds
        self._reduced = None
        if self._settings.slop != self._slop:
            self._synchronizer = self._synchronize(self._synchronizer.modalities)

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
        """What is wrong with the streams and the clock, a line each, by a key (see stream_faults): "clock",
        "clock jump" and what is lacking of the cameras' geometry besides. ``now``: of ``time.monotonic()``.
        """
        return self._stream_faults(now) | self.geometry.faults(now)

    def _stream_faults(self, now: float) -> dict[str, str]:
        found = stream_faults(self.inputs, self.health, self.lateness, self._settings.slop, now)
        used = tuple(self.inputs) if self._reduced is None else self._reduced.modalities
        for name, source in self.inputs.items():
            if name not in used:
                found[f"{name} missing"] = f"{source.topic}: missing: going on with {_rest(used)}"
        if clock := self._clock.fault(now):
            found["clock"] = clock
        if self._clock_jump and now - self._clock_jump[0] < RECENT:
            found["clock jump"] = self._clock_jump[1]
        return found

    def _subscribe(
        self, modalities: Sequence[Modality], transports: Mapping[str, Transport]
    ) -> dict[str, ImageInput]:
        inputs: dict[str, ImageInput] = {}
        try:
            for modality in modalities:
                receive = partial(self._on_message, modality.name)
                transport = transports[modality.name]
                inputs[modality.name] = ImageInput(self._node, modality, transport, receive)
        except BaseException:
            # Nobody else knows of those that were made.
            self._unsubscribe(inputs)
            raise
        return inputs

    def _unsubscribe(self, inputs: Mapping[str, ImageInput]) -> None:
        for source in inputs.values():
            source.close()

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
            reason = shortened(str(error))
            self.counters.rejected += 1
            self.health.refused(name, now, reason)
            self._log.warning((name, "rejected"), f"{source.topic}: image skipped: {reason}")
            return
        self.stamps.arrived(name, now, stamp)
        jump = self.health.arrived(name, now, stamp)
        if jump:
            self._on_jump(name, jump, stamp)
        if self.lateness.arrived(name, now, stamp, len(getattr(message, "data", ()))):
            self._synchronizer.lengthen(self.lateness.queue_size)
        if late := self.lateness.report(now):
            topics = self.inputs[late.name].topic, self.inputs[late.partner].topic
            self._log.warning((name, "late"), late_line(*topics, late, self.lateness))
        self._follow_missing(now)
        self._synchronizer.add(name, image)
        # Not where it has just completed a frame of all.
        if self._reduced is not None and name in self._reduced.modalities:
            self._reduced.add(name, image)

    def _on_jump(self, name: str, jump: int, stamp: int) -> None:
        self._order.forget()
        if jump < 0:
            self._synchronizer.jumped_back(stamp)
            if self._reduced is not None:
                self._reduced.jumped_back(stamp)
        # One way must not hold back the line about the other.
        self._log.warning((name, "jump", jump < 0), jump_line(self.inputs[name].topic, jump))

    def _on_clock_jump(self, jump: TimeJump) -> None:
        seconds = jump.delta.nanoseconds / 1e9
        if jump.clock_change != ClockChange.ROS_TIME_NO_CHANGE:
            self._synchronizer.clear()
            return
        line = f"/clock jumped by {seconds:+.3g} s"
        if seconds < 0:
            self._synchronizer.clear()
            line += ": what waited for a partner is forgotten"
        self._clock_jump = time.monotonic(), line
        self._log.warning(("clock jump", seconds < 0), line)

    def _follow_missing(self, now: float) -> None:
        """Makes frames of the modalities that come, where others have been missing for too long."""
        available = self.health.available(now)
        before = self._synchronizer if self._reduced is None else self._reduced
        if available == before.modalities:
            return
        self._log_change(before.modalities, available, now)
        self._order.forget()
        if len(available) == len(self.inputs):
            self._reduced = None
            return
        self._reduced = self._synchronize(available)
        # The newest of what has waited in vain is segmented now.
        for name, image in dict(self._synchronizer.waiting()).items():
            if name in available:
                self._reduced.add(name, image)

    def _synchronize(self, names: Sequence[str]) -> Synchronizer:
        self._slop = self._settings.slop
        return Synchronizer(names, self._slop, self.lateness.queue_size, self._on_images)

    def _on_images(self, frame: Frame) -> None:
        now = time.monotonic()
        self.health.paired(now, list(frame))
        if len(frame) == len(self.inputs):
            self.lateness.paired()
            self.counters.paired += len(frame) > 1
            self._follow_missing(now)
        else:
            self.counters.incomplete += 1
        self.counters.framed += len(frame)
        self.stamps.paired(now, [stamp_nanoseconds(image.header.stamp) for image in frame.values()])
        if self._order.passes(stamp_nanoseconds(next(iter(frame.values())).header.stamp)):
            self._on_frame(frame)
        else:
            self.counters.dropped += 1

    def _log_change(self, before: Sequence[str], available: Sequence[str], now: float) -> None:
        rest = _rest(available)
        limit = f"{self._settings.missing_after:g} s (missing_after)"
        for name in self.inputs:
            source = self.inputs[name]
            if name in before and name not in available:
                if self.health.overdue(name, now) or self.health.topics[name].last_usable is None:
                    line = f"{source.topic}: nothing usable for {limit}: going on with {rest}"
                else:
                    line = f"{source.topic}: none of its images has paired for {limit}: going on with {rest}"
                if self.health.topics[name].silence(now) >= self._settings.missing_after:
                    line += f"; {source.advice()}"
                self._log.warning((name, "missing"), line)
            elif name in available and name not in before:
                self._log.info((name, "back"), f"{source.topic}: it is back; going on with {rest}")

    def _on_timer(self) -> None:
        try:
            now = time.monotonic()
            watch = now - self._watched >= WATCH_PERIOD
            for source in self.inputs.values():
                # Between two watches only a change is followed: see follow_publishers.
                if (watch or source.publishers_changed()) and (change := source.follow_publishers()):
                    self._node.get_logger().info(f"{source.topic}: {change}")
            self._follow_missing(now)
            clock: Any = self._node.get_clock()
            self._clock.look(now, clock.now().nanoseconds if clock.ros_time_is_active else None)
            if watch:
                self._watched = now
                self._log_faults(now)
                self.geometry.follow_publishers()
                self.geometry.log_faults(now)
        except Exception:
            self._log.error("timer", f"the topics could not be watched:\n{traceback.format_exc()}")

    def _log_faults(self, now: float) -> None:
        missing = set() if self._reduced is None else set(self.inputs) - set(self._reduced.modalities)
        for key, line in self._stream_faults(now).items():
            # A modality that is missing has its own line, once; a thing of a moment was logged then.
            if key not in missing and not key.endswith(("rejected", "jump", "late", "missing")):
                self._log.warning((key, "fault"), line)


def _check_stamp(stamp: int) -> None:
    # message_filters raises at a negative stamp with its lock held, and would block at the next image.
    if stamp <= 0:
        value = "zero" if stamp == 0 else f"negative ({stamp / 1e9:g} s)"
        raise ImageError(f"its stamp is {value}, so it can't be paired: let the driver stamp its images")


def _rest(names: Sequence[str]) -> str:
    return f"only {names[0]}" if len(names) == 1 else _listed(names)


def _listed(names: Sequence[str]) -> str:
    """``a, b and c``"""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
