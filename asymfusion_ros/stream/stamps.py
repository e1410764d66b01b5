"""What the stamps of several streams say: how far apart those of a frame are, and how far the clocks."""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Sequence

from asymfusion_ros.stream.health import JUMP_NANOSECONDS
from asymfusion_ros.stream.timing import Window, quantile

KEPT = 64  # newest images of each stream
ENOUGH = 8  # images of a stream before anything is said about its stamps
MARGIN = 1.2  # of the slop over the gaps that were seen: stamps jitter
RESOLUTION = 0.001  # seconds, to which the slop is rounded up


class StampMeter:
    """The stamps of ``modalities``, the first of which the others are compared with.

    Arrival times are seconds of a clock that never goes back; stamps are nanoseconds.
    """

    def __init__(self, modalities: Sequence[str], seconds: float) -> None:
        """``seconds``: of the newest frames whose gaps count."""
        self._images: dict[str, deque[tuple[float, int]]] = {name: deque(maxlen=KEPT) for name in modalities}
        self._gaps = Window(seconds)

    def arrived(self, name: str, now: float, stamp: int) -> None:
        """Notes a usable image; one that goes back in time begins its stream anew."""
        images = self._images[name]
        if images and stamp < images[-1][1] - JUMP_NANOSECONDS:
            images.clear()
        images.append((now, stamp))

    def paired(self, now: float, stamps: Sequence[int]) -> None:
        """Notes the stamps of the images of a frame."""
        if len(stamps) > 1:
            self._gaps.add(now, (max(stamps) - min(stamps)) / 1e9)

    def gaps(self, now: float) -> list[float]:
        """Seconds between the first and the last stamp of each of the newest frames."""
        return self._gaps.values(now)

    def offsets(self) -> dict[str, float]:
        """For each other modality, by how many seconds its images arrive earlier than those of the first with
        the same stamp: its clock is ahead by as much, or, where that is negative, behind or its images late.
        """
        lags = {
            name: quantile([arrival - stamp / 1e9 for arrival, stamp in images], 0.5)
            for name, images in self._images.items()
            if len(images) >= ENOUGH
        }
        first, *others = self._images
        return {name: lags[first] - lags[name] for name in others if first in lags and name in lags}

    def slop_needed(self) -> float | None:
        """The slop in seconds with which each image of the slowest stream finds one of every other: the
        distance to the nearest stamp, and some room. None where the streams have no time in common.
        """
        stamps = {name: sorted(stamp for _, stamp in images) for name, images in self._images.items()}
        if len(stamps) < 2 or min(map(len, stamps.values())) < ENOUGH:
            return None
        first = max(some[0] for some in stamps.values())
        last = min(some[-1] for some in stamps.values())
        common = {name: [s for s in some if first <= s <= last] for name, some in stamps.items()}
        slowest = min(common, key=lambda name: len(common[name]))
        spreads = []
        for stamp in common[slowest]:
            near = [nearest(some, stamp) for some in stamps.values()]
            spreads.append((max(near) - min(near)) / 1e9)
        if len(spreads) < ENOUGH:
            return None
        # To the millisecond above; rounded first, or 0.010 * 1.2 would come out as 0.013.
        steps = math.ceil(round(quantile(spreads, 0.95) * MARGIN / RESOLUTION, 6))
        return max(1, steps) * RESOLUTION


def nearest(ordered: Sequence[int], stamp: int) -> int:
    """The stamp of ``ordered`` that lies nearest."""
    place = bisect.bisect(ordered, stamp)
    return min(ordered[max(0, place - 1) : place + 1], key=lambda other: abs(other - stamp))
