"""How often a line may be logged: a fault that comes with every image must not fill the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

# A key that is made of what a message holds can take any value: what is kept must not grow for ever.
MOST_KEYS = 200


@dataclass
class _Line:
    logged: float  # when it was last logged
    came: float  # when it last came, logged or not
    wait: float  # seconds after ``logged`` in which it is held back
    held_back: int = 0  # how often it was since ``logged``


class Throttle:
    """Lets a line be logged once in ``period`` seconds, each ``key`` by itself, and counts the rest.

    While it keeps coming, that time doubles with each line, up to ``longest`` seconds; once it has stayed
    away for a period, it starts over. ``clock`` gives seconds that never go back (``time.monotonic``). Safe
    to use from several threads.
    """

    def __init__(self, period: float, longest: float, clock: Callable[[], float]) -> None:
        self._period = period
        self._longest = longest
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: dict[Hashable, _Line] = {}
        self._seen: set[Hashable] = set()

    def admit(self, key: Hashable) -> int | None:
        """None where ``key`` must be held back; otherwise how often it was held back since it was logged."""
        now = self._clock()
        with self._lock:
            line = self._lines.get(key)
            if line is None and len(self._lines) >= MOST_KEYS:
                oldest = min(self._lines, key=lambda known: self._lines[known].came)
                del self._lines[oldest]
            if line is None or now - line.came >= self._period:
                self._lines[key] = _Line(now, now, self._period)
                return 0 if line is None else line.held_back
            line.came = now
            if now - line.logged < line.wait:
                line.held_back += 1
                return None
            held_back = line.held_back
            self._lines[key] = _Line(now, now, min(2 * line.wait, self._longest))
            return held_back

    def first(self, key: Hashable) -> bool:
        """True the first time that ``key`` comes, and never again until ``forget``; False where MOST_KEYS
        others have come before."""
        with self._lock:
            if key in self._seen or len(self._seen) >= MOST_KEYS:
                return False
            self._seen.add(key)
            return True

    def forget(self) -> None:
        """Starts afresh: every line may be logged again."""
        with self._lock:
            self._lines.clear()
            self._seen.clear()
