"""Whether modalities have disagreed for some time beyond what is usual: a decision over several frames."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

PERIOD = 0.25  # seconds between two looks, at least: consecutive frames say nearly the same
WINDOW = 10.0  # seconds that the mean is taken over: a fault lasts, a hard view passes
LOOKS = 5  # in the window, at least: a slow network's reaches further back
STALE_AFTER = 30.0  # seconds without a look after which nothing is known any more


@dataclass(frozen=True)
class Disagreement:
    """share: of the pixels beyond the usual level, 0 to 1, the mean over the window. since: the time from
    which the alarm holds, None where it does not."""

    share: float
    since: float | None


class DisagreementAlarm:
    """Takes the share of disagreeing pixels of frames; the alarm begins when their mean over the window
    exceeds ``threshold``, and ends when it is half way back from there to ``usual``, or lower.

    Times are those of a clock that never goes back. Safe to use from two threads.
    """

    def __init__(self, threshold: float, usual: float) -> None:
        self.threshold = threshold
        self.usual = usual
        self._looks: deque[tuple[float, float]] = deque()
        self._since: float | None = None
        self._lock = threading.Lock()

    def due(self, now: float) -> bool:
        """Whether it is time for another look."""
        with self._lock:
            return not self._looks or now - self._looks[-1][0] >= PERIOD

    def look(self, share: float, now: float) -> None:
        """A frame's share, 0 to 1."""
        with self._lock:
            self._forget(now)
            self._looks.append((now, share))
            while len(self._looks) > LOOKS and now - self._looks[0][0] > WINDOW:
                self._looks.popleft()
            mean = self._mean()
            if self._since is not None:
                if mean <= (self.threshold + self.usual) / 2:
                    self._since = None
            elif len(self._looks) >= LOOKS and mean > self.threshold:
                self._since = now

    def state(self, now: float) -> Disagreement | None:
        """None where there was no look for too long."""
        with self._lock:
            self._forget(now)
            return Disagreement(self._mean(), self._since) if self._looks else None

    def _forget(self, now: float) -> None:
        if self._looks and now - self._looks[-1][0] > STALE_AFTER:
            self._looks.clear()
            self._since = None

    def _mean(self) -> float:
        return sum(share for _, share in self._looks) / len(self._looks)
