"""The pairing in use: message_filters where the ROS installation has it, else stream/pairing.py."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from sensor_msgs.msg import Image

from asymfusion_ros.stream import pairing

PairCallback = Callable[[Image, Image], None]


def implementation() -> ModuleType:
    """The module with message_filters' classes."""
    try:
        import message_filters
    except ImportError:
        return pairing
    return message_filters


class PairSynchronizer:
    """Calls ``on_pair(rgb, depth)`` for every two images whose stamps agree to within ``slop`` seconds, or
    exactly where that is 0.

    ``on_pair`` must not raise: message_filters holds a lock while it runs, and would keep it for good.
    """

    def __init__(self, slop: float, queue_size: int, on_pair: PairCallback) -> None:
        filters = implementation()
        self.implementation_name = "message_filters" if filters is not pairing else "the built-in pairing"
        self._sources = {"rgb": filters.SimpleFilter(), "depth": filters.SimpleFilter()}
        inputs = list(self._sources.values())
        # An approximate synchronizer asks for a difference below its slop: with 0 it would never fire.
        self._synchronizer: Any = (
            filters.ApproximateTimeSynchronizer(inputs, queue_size, slop)
            if slop > 0
            else filters.TimeSynchronizer(inputs, queue_size)
        )
        self._synchronizer.registerCallback(on_pair)

    def add(self, kind: str, message: Image) -> None:
        """Takes in an image of ``kind`` "rgb" or "depth", and calls ``on_pair`` where it completes a pair."""
        self._sources[kind].signalMessage(message)

    def jumped_back(self, stamp: int) -> None:
        """Forgets what waits with a stamp later than ``stamp`` (ns), to which a stream has gone back.

        What is not later stays: the other stream may have gone back first.
        """
        pairing.forget_later(self._synchronizer, stamp)

    def clear(self) -> None:
        pairing.forget_all(self._synchronizer)
