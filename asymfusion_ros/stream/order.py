"""Frames in the order of their stamps: one that completes after a newer one is out of date."""

from __future__ import annotations

from asymfusion_ros.stream.health import JUMP_NANOSECONDS


class Order:
    """Passes frames whose stamps go forward, and those that went back by more than disorder explains: a
    recording that loops must not be held up.
    """

    def __init__(self) -> None:
        self._newest: int | None = None

    def passes(self, stamp: int) -> bool:
        """Whether a frame stamped ``stamp`` (ns) is no older than the newest so far."""
        newest = self._newest
        if newest is not None and newest - JUMP_NANOSECONDS <= stamp < newest:
            return False
        self._newest = stamp
        return True

    def forget(self) -> None:
        """Lets any stamp pass next."""
        self._newest = None
