"""How long the stages of the newest frames took: rolling windows and their quantiles."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence

LARGEST = 1000  # values that a window holds at most


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0 to 1) of ``values`` lie, interpolated between neighbours."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


class Window:
    """The values of the last ``seconds``, LARGEST at most."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: deque[tuple[float, float]] = deque(maxlen=LARGEST)

    def add(self, now: float, value: float) -> None:
        """Takes a value."""
        self._values.append((now, value))

    def values(self, now: float) -> list[float]:
        """Those not older than the window, oldest first; the others are forgotten."""
        while self._values and self._values[0][0] <= now - self._seconds:
            self._values.popleft()
        return [value for _, value in self._values]


class Timings:
    """The seconds that each stage took in the frames of the last ``seconds``.

    Written by the thread that segments and read by the one that reports. ``clock`` gives seconds that never
    go back (``time.monotonic``).
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[str, Window] = {}

    def add(self, stages: Mapping[str, float]) -> None:
        """Notes the stages of one frame."""
        now = self._clock()
        with self._lock:
            for stage, value in stages.items():
                self._windows.setdefault(stage, Window(self._seconds)).add(now, value)

    def quantiles(self, *shares: float) -> dict[str, tuple[float, ...]]:
        """The quantiles of each stage that has values, in the order in which the stages first came."""
        now = self._clock()
        with self._lock:
            values = {stage: window.values(now) for stage, window in self._windows.items()}
        return {
            stage: tuple(quantile(some, share) for share in shares) for stage, some in values.items() if some
        }
