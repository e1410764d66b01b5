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
from asymfusion_ros.messages.fields import Message
from asymfusion_ros.messages.stamped_image import Frame, StampedImage
from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.ros.inputs.geometry import CameraGeometry
from asymfusion_ros.ros.inputs.subscription import ImageInput
from asymfusion_ros.ros.inputs.synchronizer import implementation, implementation_name
from asymfusion_ros.ros.inputs.transports import Transport, load_transports
from asymfusion_ros.ros.log import ThrottledLog, shortened
from asymfusion_ros.ros.stream_faults import RECENT, jump_line, late_line, stream_faults
from asymfusion_ros.stream.clock import ClockHealth
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.frame_maker import FrameMaker
from asymfusion_ros.stream.lateness import Late
from asymfusion_ros.stream.pairing import stamp_nanoseconds

LOOK_PERIOD = 0.1  # seconds between two looks at what publishers offer and at who is missing
WATCH_PERIOD = 0.5  # seconds between two looks at the topics' health; a change of reliability takes as long


class Camera:
    """Subscribes to the topic of each of ``modalities`` and calls ``on_frame`` for each frame, until closed.

    Attributes: ``inputs``, a subscription for each modality; ``maker``, which makes frames of their images,
    and its ``health``, ``lateness``, ``stamps`` and ``counters``; ``geometry``, of its cameras.
    """

    def __init__(
        self,
        node: Node,
        modalities: Sequence[Modality],
        settings: CommonSettings,
        counters: Counters,
        log: ThrottledLog,
        on_frame: Callable[[Frame], None],
    ) -> None:
        names = [modality.name for modality in modalities]
        self._node = node
        self._settings = settings
        self._log = log
        self.on_frame = on_frame
        self.counters = counters
        self.maker: FrameMaker[StampedImage] = FrameMaker(
            names,
            settings.slop,
            settings.queue_size,
            settings.missing_after,
            time.monotonic(),
            counters,
            self,
            implementation(),
        )
        self.health, self.lateness, self.stamps = self.maker.health, self.maker.lateness, self.maker.stamps
        self._clock = ClockHealth()
        self._clock_jump: tuple[float, str] | None = None
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
        self.maker.change(self._settings.missing_after, self._settings.slop)

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
        used = self.maker.used
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
            self.maker.refuse(name, now, reason)
            self._log.warning((name, "rejected"), f"{source.topic}: image skipped: {reason}")
            return
        self.maker.add(name, now, image, len(getattr(message, "data", ())))

    def on_late(self, late: Late) -> None:
        """Logs it."""
        topics = self.inputs[late.name].topic, self.inputs[late.partner].topic
        self._log.warning((late.name, "late"), late_line(*topics, late, self.lateness))

    def on_jump(self, name: str, jump: int) -> None:
        """Logs it. One way must not hold back the line about the other."""
        self._log.warning((name, "jump", jump < 0), jump_line(self.inputs[name].topic, jump))

    def _on_clock_jump(self, jump: TimeJump) -> None:
        seconds = jump.delta.nanoseconds / 1e9
        if jump.clock_change != ClockChange.ROS_TIME_NO_CHANGE:
            self.maker.clear()
            return
        line = f"/clock jumped by {seconds:+.3g} s"
        if seconds < 0:
            self.maker.clear()
            line += ": what waited for a partner is forgotten"
        self._clock_jump = time.monotonic(), line
        self._log.warning(("clock jump", seconds < 0), line)

    def on_change(self, before: Sequence[str], available: Sequence[str], now: float) -> None:
        """Logs who is missing, and who is back."""
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
            self.maker.follow_missing(now)
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
        missing = set(self.inputs) - set(self.maker.used)
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
