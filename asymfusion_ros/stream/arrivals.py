"""The newest stamps of one topic and when they arrived: how often images come, and who had a partner."""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from dataclasses import dataclass

LENGTH = 300  # images remembered of each topic: ten seconds of most cameras
GAPS = 9  # arrivals over which the period is taken


@dataclass(frozen=True)
class Partner:
    """An image that would have paired. difference: nanoseconds between the stamps. arrived: when it came.
    place: 1 where it has the newest stamp of its topic, 2 where one is newer, ...: the length of a queue of
    the newest stamps that still holds it.
    """

    difference: int
    arrived: float
    place: int


class Arrivals:
    """Stamps (nanoseconds) of a topic's newest usable images, with the times (seconds) of their arrival."""

    def __init__(self) -> None:
        self._images: deque[tuple[int, float]] = deque(maxlen=LENGTH)

    def add(self, stamp: int, now: float) -> None:
        """Notes an image."""
        self._images.append((stamp, now))

    def clear(self) -> None:
        """Forgets all: the stamps went back, and the old ones may come again."""
        self._images.clear()

    @property
    def period(self) -> float | None:
        """The median of the last seconds between two images; None for fewer than four of them."""
        times = [now for _, now in list(self._images)[-GAPS:]]
        if len(times) < 4:
            return None
        return statistics.median(after - before for before, after in itertools.pairwise(times))

    def partner(self, stamp: int, slop: int) -> Partner | None:
        """The image whose stamp is nearest to ``stamp``, not further than ``slop`` (both ns); None where none
        is that near.
        """
        if not self._images:
            return None
        nearest, arrived = min(self._images, key=lambda image: abs(image[0] - stamp))
        if abs(nearest - stamp) > slop:
            return None
        return Partner(
            abs(nearest - stamp), arrived, place=sum(other >= nearest for other, _ in self._images)
        )
