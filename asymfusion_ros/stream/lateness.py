"""Images that would have paired, had their partners waited longer: one camera's images arrive late.

Two things look alike here. Where stamps are equal, the images are of one instant and one of them is late: a
longer queue pairs them. Where stamps merely come near, the cameras' clocks may differ by as much, and a
longer queue would pair images of different instants.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asymfusion_ros.stream.health import TopicHealth

EQUAL_NANOSECONDS = 1_000_000  # stamps of one instant, though a driver rounds them to milliseconds
CONSECUTIVE = 3  # late images in a row that are more than a hiccup
FORGOTTEN_AFTER = 5.0  # seconds without a late image after which there is nothing to report
MOST_IMAGES = 120  # that may wait for a partner, however late it is
MOST_BYTES = 256 << 20  # that they may hold


@dataclass(frozen=True)
class Late:
    """An image of ``name`` came ``seconds`` after its partner in ``partner``, which a queue of fewer than
    ``place`` images no longer held. equal: whether the stamps are of one instant.
    """

    name: str
    partner: str
    seconds: float
    place: int
    equal: bool


class Lateness:
    """Looks for late images and finds the length of queue that pairs them.

    Attributes: ``slop_nanoseconds``; ``queue_size``, the length in use, which grows where that helps;
    ``latest``, the newest of a run of late images and when it came.
    """

    def __init__(self, topics: Mapping[str, TopicHealth], slop_nanoseconds: int, queue_size: int) -> None:
        self._topics = topics
        self.slop_nanoseconds = slop_nanoseconds
        self._run = 0
        self._largest = 1
        self.queue_size = queue_size
        self.latest: tuple[float, Late] | None = None

    def paired(self) -> None:
        """Notes that images of every modality paired."""
        self._run = 0

    def arrived(self, name: str, now: float, stamp: int, size: int) -> bool:
        """Notes an image of ``size`` bytes that has been added to its topic's arrivals. True where
        ``queue_size`` has grown."""
        self._largest = max(self._largest, size)
        late = self._late(name, now, stamp)
        if late is None:
            return False
        self._run += 1
        if self._run < CONSECUTIVE:
            return False
        self.latest = now, late
        if not late.equal:
            return False
        # A fifth more: what is late is rarely late by the same every time.
        wanted = min(late.place + max(2, late.place // 5), self.bound)
        grows = late.place <= wanted and wanted > self.queue_size
        if grows:
            self.queue_size = wanted
            self._run = 0
        return grows

    @property
    def bound(self) -> int:
        """The longest queue for images as large as those that have come."""
        return min(MOST_IMAGES, max(1, MOST_BYTES // self._largest))

    def report(self, now: float) -> Late | None:
        """What is late now; None where nothing is."""
        if self.latest is None or now - self.latest[0] > FORGOTTEN_AFTER:
            return None
        return self.latest[1]

    def _late(self, name: str, now: float, stamp: int) -> Late | None:
        for other, health in self._topics.items():
            partner = None if other == name else health.arrivals.partner(stamp, self.slop_nanoseconds)
            if partner is not None and partner.place > self.queue_size:
                equal = partner.difference <= EQUAL_NANOSECONDS
                return Late(name, other, now - partner.arrived, partner.place, equal)
        return None
