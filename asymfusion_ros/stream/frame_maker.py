"""A camera's images, as they arrive, to frames: of all modalities, or of those that come."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Generic, Protocol, TypeVar

from asymfusion_ros.stream import pairing
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.health import StreamHealth
from asymfusion_ros.stream.lateness import Late, Lateness
from asymfusion_ros.stream.order import Order
from asymfusion_ros.stream.pairing import stamp_nanoseconds
from asymfusion_ros.stream.stamps import StampMeter
from asymfusion_ros.stream.synchronizer import Synchronizer

SILENT_AFTER = 3.0  # seconds without a message after which a topic is silent
UNPAIRED_AFTER = 1.0  # seconds without a pair, while images come, after which that is a fault
GAP_WINDOW = 10.0  # seconds of the newest pairs whose stamps are compared


class Stamped(Protocol):
    """What has a message's header, or is one."""

    @property
    def header(self) -> object:
        """std_msgs/Header."""


Image = TypeVar("Image", bound=Stamped)


class Listener(Protocol[Image]):
    """Who is told what comes of the images."""

    def on_frame(self, frame: dict[str, Image]) -> None:
        """A frame, in the order of stamps."""

    def on_jump(self, name: str, jump: int) -> None:
        """A modality's stamps jumped by ``jump`` nanoseconds."""

    def on_late(self, late: Late) -> None:
        """Images come after their partners."""

    def on_change(self, before: Sequence[str], available: Sequence[str], now: float) -> None:
        """Frames are of other modalities from now on."""


class FrameMaker(Generic[Image]):
    """Pairs images by their stamps: a frame has one of every modality.

    Where images wait for ``missing_after`` seconds in vain, frames have an image of those modalities that do
    come and pair, until all pair again. Times of arrival (``now``) are seconds of a clock that never goes
    back. ``filters``: the module with message_filters' classes.

    Attributes: ``health``, of the streams; ``lateness``, of images that come after their partners;
    ``counters``; ``stamps``, how far they are apart.
    """

    def __init__(
        self,
        names: Sequence[str],
        slop: float,
        queue_size: int,
        missing_after: float,
        now: float,
        counters: Counters,
        listener: Listener[Image],
        filters: ModuleType = pairing,
    ) -> None:
        self.counters = counters
        counters.expect(names)
        self.health = StreamHealth(names, SILENT_AFTER, UNPAIRED_AFTER, missing_after, now, slop)
        self.stamps = StampMeter(names, GAP_WINDOW)
        self.lateness = Lateness(self.health.topics, self.health.slop_nanoseconds, queue_size)
        self._names = tuple(names)
        self._listener = listener
        self._filters = filters
        self._order = Order()
        self._now = now
        self._slop = slop
        self._all = self._synchronize(self._names)
        # Of those that come, while others are missing.
        self._reduced: Synchronizer[Image] | None = None

    @property
    def used(self) -> tuple[str, ...]:
        """The modalities that frames are made of now."""
        return self._all.modalities if self._reduced is None else self._reduced.modalities

    def change(self, missing_after: float, slop: float) -> None:
        """Goes by other limits from now on. Where ``slop`` changed, what waits for a partner is forgotten."""
        self.health.change(missing_after, slop)
        self.lateness.slop_nanoseconds = self.health.slop_nanoseconds
        self._reduced = None
        if slop != self._slop:
            self._slop = slop
            self._all = self._synchronize(self._names)

    def refuse(self, name: str, now: float, reason: str) -> None:
        """Notes an image that cannot be used."""
        self.counters.rejected += 1
        self.health.refused(name, now, reason)

    def add(self, name: str, now: float, image: Image, size: int) -> None:
        """Takes a usable image of ``size`` bytes, and passes on the frame that it completes, if any."""
        self._now = now
        stamp = stamp_nanoseconds(image.header.stamp)  # type: ignore[attr-defined]
        self.stamps.arrived(name, now, stamp)
        if jump := self.health.arrived(name, now, stamp):
            self._on_jump(name, jump, stamp)
        if self.lateness.arrived(name, now, stamp, size):
            self._all.lengthen(self.lateness.queue_size)
        if late := self.lateness.report(now):
            self._listener.on_late(late)
        self.follow_missing(now)
        self._all.add(name, image)
        # Not where it has just completed a frame of all.
        if self._reduced is not None and name in self._reduced.modalities:
            self._reduced.add(name, image)

    def waiting(self) -> list[tuple[str, Image]]:
        """The images that wait for a partner, oldest stamp first, with their modalities."""
        return self._all.waiting()

    def clear(self) -> None:
        """Forgets what waits for a partner."""
        self._all.clear()

    def follow_missing(self, now: float) -> None:
        """Makes frames of the modalities that come, where others have been missing for too long."""
        self._now = now
        available, before = self.health.available(now), self.used
        if available == before:
            return
        self._listener.on_change(before, available, now)
        self._order.forget()
        if len(available) == len(self._names):
            self._reduced = None
            return
        self._reduced = self._synchronize(available)
        # The newest of what has waited in vain is segmented now.
        for name, image in dict(self._all.waiting()).items():
            if name in available:
                self._reduced.add(name, image)

    def _synchronize(self, names: Sequence[str]) -> Synchronizer[Image]:
        return Synchronizer(names, self._slop, self.lateness.queue_size, self._on_images, self._filters)

    def _on_jump(self, name: str, jump: int, stamp: int) -> None:
        self._order.forget()
        if jump < 0:
            self._all.jumped_back(stamp)
            if self._reduced is not None:
                self._reduced.jumped_back(stamp)
        self._listener.on_jump(name, jump)

    def _on_images(self, frame: dict[str, Image]) -> None:
        self.health.paired(self._now, list(frame))
        if len(frame) == len(self._names):
            self.lateness.paired()
            self.counters.paired += len(frame) > 1
            self.follow_missing(self._now)
        else:
            self.counters.incomplete += 1
        self.counters.framed += len(frame)
        stamps = [stamp_nanoseconds(image.header.stamp) for image in frame.values()]  # type: ignore[attr-defined]
        self.stamps.paired(self._now, stamps)
        if self._order.passes(stamps[0]):
            self._listener.on_frame(frame)
        else:
            self.counters.dropped += 1
