"""How often things happen, from counts that are looked at now and then."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping


class Rates:
    """What counts have grown by in about the last ``seconds``."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._looks: deque[tuple[float, dict[str, int]]] = deque()

    def look(self, now: float, counts: Mapping[str, int]) -> None:
        """Takes the present counts, by name."""
        self._looks.append((now, dict(counts)))
        # The first look stays while those after it don't reach back far enough.
        while len(self._looks) > 2 and self._looks[1][0] <= now - self._seconds:
            self._looks.popleft()

    @property
    def span(self) -> float:
        """Seconds between the first look that counts and the last."""
        return self._looks[-1][0] - self._looks[0][0] if self._looks else 0.0

    def growth(self, name: str) -> int:
        """By how much a count has grown in that time; one that is new counts from 0."""
        if not self._looks:
            return 0
        return self._looks[-1][1].get(name, 0) - self._looks[0][1].get(name, 0)

    def per_second(self, name: str) -> float | None:
        """Its growth a second; None before the second look."""
        return self.growth(name) / self.span if self.span > 0 else None
