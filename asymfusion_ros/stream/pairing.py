"""Pairing messages by their stamps, for machines that have no message_filters.

Class names, signatures and matching rules are those of the Python package message_filters, so that either
serves the node. Two things differ, both for the better: the user's callback runs after the queues are
up to date and with no lock held, so that a callback that raises loses nothing but its own set; and a slop
that could never match is refused instead of never firing.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence
from typing import Any

from asymfusion_ros.errors import ConfigError

Queue = dict[int, Any]  # stamp in nanoseconds -> message


def stamp_nanoseconds(stamp: Any) -> int:
    """The nanoseconds of a builtin_interfaces/Time or an rclpy Time."""
    if hasattr(stamp, "nanoseconds"):
        return int(stamp.nanoseconds)
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


class SimpleFilter:
    """Something that has callbacks and passes messages on to them."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:
        """Calls ``cb(*messages, *args)`` at every output; returns the number of the connection."""
        connection = len(self.callbacks)
        self.callbacks[connection] = (cb, args)
        return connection

    def signalMessage(self, *msg: Any) -> None:
        """Calls every callback with the messages."""
        for cb, args in list(self.callbacks.values()):
            cb(*msg, *args)


class TimeSynchronizer(SimpleFilter):
    """Passes on sets of messages, one from each of ``fs``, whose stamps are equal.

    Each input keeps its ``queue_size`` newest stamps. Callbacks get the messages in the order of ``fs``.
    """

    def __init__(self, fs: Sequence[Any], queue_size: int) -> None:
        super().__init__()
        if queue_size < 1:
            raise ConfigError(f"queue_size is {queue_size}: it must be 1 or more")
        self.queue_size = queue_size
        self.lock = threading.Lock()
        self.connectInput(fs)

    def connectInput(self, fs: Sequence[Any]) -> None:
        """Starts over with other inputs."""
        self.queues: list[Queue] = [{} for _ in fs]
        self.input_connections = [
            source.registerCallback(self.add, queue, index)
            for index, (source, queue) in enumerate(zip(fs, self.queues, strict=True))
        ]

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Takes a message of one input, and passes on every set that it completes, oldest first."""
        stamp = stamp_nanoseconds(msg.header.stamp)
        with self.lock:
            self._store(stamp, msg, my_queue)
            complete = sorted(set.intersection(*(set(queue) for queue in self.queues)))
            found = [self._take([common] * len(self.queues)) for common in complete]
        for messages in found:
            self.signalMessage(*messages)

    def _store(self, stamp: int, msg: Any, queue: Queue) -> None:
        queue[stamp] = msg
        while len(queue) > self.queue_size:
            del queue[min(queue)]

    def _take(self, stamps: Sequence[int]) -> list[Any]:
        return [queue.pop(stamp) for queue, stamp in zip(self.queues, stamps, strict=True)]


class ApproximateTimeSynchronizer(TimeSynchronizer):
    """Passes on sets of messages whose stamps all lie less than ``slop`` seconds apart.

    A message is matched when it arrives, with those waiting on the other inputs, the nearest stamps first.
    A set's spread must be below ``slop``, not equal to it. Headerless messages are not supported here
    (ConfigError): they need ROS time.
    """

    def __init__(
        self, fs: Sequence[Any], queue_size: int, slop: float, allow_headerless: bool = False
    ) -> None:
        if slop <= 0:
            raise ConfigError(f"slop is {slop} s: nothing is closer than that; for equal stamps use 0")
        if allow_headerless:
            raise ConfigError("allow_headerless needs the package message_filters: install it")
        super().__init__(fs, queue_size)
        self.slop_nanoseconds = int(slop * 1e9)

    def add(self, msg: Any, my_queue: Queue, my_queue_index: int | None = None) -> None:
        """Takes a message of one input, and passes on the first set that it completes, if any."""
        stamp = stamp_nanoseconds(msg.header.stamp)
        with self.lock:
            self._store(stamp, msg, my_queue)
            stamps = self._match(stamp, my_queue)
            found = None if stamps is None else self._take(stamps)
        if found is not None:
            self.signalMessage(*found)

    def _match(self, stamp: int, my_queue: Queue) -> tuple[int, ...] | None:
        """The stamps of the set that the message of ``stamp`` completes, one of each queue."""
        if stamp not in my_queue:  # older than a full queue: it was dropped at once
            return None
        candidates = []
        for queue in self.queues:
            if queue is my_queue:
                candidates.append([stamp])
                continue
            near = [other for other in queue if abs(other - stamp) <= self.slop_nanoseconds]
            candidates.append(sorted(near, key=lambda other: abs(other - stamp)))
        for stamps in itertools.product(*candidates):
            if max(stamps) - min(stamps) < self.slop_nanoseconds:
                return stamps
        return None


def forget_later(synchronizer: Any, stamp: int) -> None:
    """Drops the queued messages stamped later than ``stamp`` (nanoseconds), in this module's or
    message_filters' synchronizers.

    After a stream has jumped back, they would wait for partners that never come, and push out every new
    message: a full queue drops its oldest stamps.
    """
    with synchronizer.lock:
        for queue in synchronizer.queues:
            for later in [queued for queued in queue if queued > stamp]:
                del queue[later]


def forget_all(synchronizer: Any) -> None:
    """Empties the queues of this module's or message_filters' synchronizers."""
    with synchronizer.lock:
        for queue in synchronizer.queues:
            queue.clear()
