"""What the stages of a frame take, on the host."""

from __future__ import annotations

import time
from collections.abc import Callable


class Stopwatch:
    """Runs from when it is made; each lap ends a stage.

    Attributes: ``seconds``, what each stage took.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self.started = self._last = clock()

    def lap(self, stage: str) -> None:
        """Ends a stage: it took the time since the last lap, or since the start. A stage that comes again
        adds up.
        """
        now = self._clock()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now

    @property
    def total(self) -> float:
        """Seconds from the start to the last lap."""
        return self._last - self.started
