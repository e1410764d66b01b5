"""How often a line may be said: a fault that comes with every image must not fill the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable


class Throttle:
    """Lets a thing be said once in ``period`` seconds, each ``key`` by itself, and counts the rest.

    ``clock`` gives seconds that never go back (``time.monotonic``). Safe to use from several threads.
    """

    def __init__(self, period: float, clock: Callable[[], float]) -> None:
        self._period = period
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[Hashable, tuple[float, int]] = {}  # key -> (when, how many were held back since)

    def admit(self, key: Hashable) -> int | None:
        """None where ``key`` was said less than a period ago; otherwise how often it was held back since."""
        now = self._clock()
        with self._lock:
            when, held_back = self._said.get(key, (None, 0))
            if when is not None and now - when < self._period:
                self._said[key] = (when, held_back + 1)
                return None
            self._said[key] = (now, 0)
            return held_back

    def first(self, key: Hashable) -> bool:
        """True the first time that ``key`` comes, and never again until ``forget``."""
        with self._lock:
            seen = key in self._said
            self._said.setdefault(key, (self._clock(), 0))
            return not seen

    def forget(self) -> None:
        """Starts afresh."""
        with self._lock:
            self._said.clear()
