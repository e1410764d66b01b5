"""At most so many frames a second, spread evenly."""

from __future__ import annotations


class RateLimit:
    """Admits ``rate`` frames a second, which may change at any call; 0 admits all.

    A camera's frames come at a rate of their own: of 30 frames a second 20 admits two of three. Two frames
    may then be less than a period apart; in no second are there more than ``rate`` and one.
    """

    def __init__(self) -> None:
        self._due = 0.0

    def admits(self, now: float, rate: float) -> bool:
        """Whether a frame that comes at ``now``, seconds of a clock that never goes back, is to be used."""
        if rate <= 0:
            return True
        period = 1 / rate
        if not now - period <= self._due <= now + period:
            # No frame came for long, or the rate was lower: nothing is made up for.
            self._due = now
        if now < self._due:
            return False
        self._due += period
        return True
