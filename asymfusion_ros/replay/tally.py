"""What became of a recording's images: how many made frames, and why the others did not."""

from __future__ import annotations

import math
import statistics
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence

from asymfusion_ros.engine.segmenter import reference_name
from asymfusion_ros.recordings.recording import NANOSECONDS
from asymfusion_ros.stream.stamps import MARGIN, RESOLUTION, nearest
from asymfusion_ros.stream.timing import quantile


class Tally:
    """topics: by modality. received: images of each. frames: that were made; incomplete: those without a
    modality; failed: those with no image of use; references: each one's reference modality and its stamp."""

    def __init__(self, topics: Mapping[str, str], slop: float) -> None:
        self.topics = topics
        self.slop = slop
        self.received = dict.fromkeys(topics, 0)
        self.frames = self.incomplete = self.failed = 0
        self.references: list[tuple[str, int]] = []
        self._stamps = {name: array("q") for name in topics}
        self._lags = {name: array("d") for name in topics}
        self._used = dict.fromkeys(topics, 0)
        self._refused: dict[str, Counter[str]] = {name: Counter() for name in topics}
        self._waiting: Counter[str] = Counter()

    def arrived(self, name: str, stamp: int, time: int) -> None:
        """A usable image with its stamp and its time of arrival, nanoseconds."""
        self.received[name] += 1
        self._stamps[name].append(stamp)
        self._lags[name].append((time - stamp) / NANOSECONDS)

    def refused(self, name: str, reason: str) -> None:
        """An image that cannot be used."""
        self.received[name] += 1
        self._refused[name][reason] += 1

    def framed(self, stamps: Mapping[str, int]) -> None:
        """A frame of images with these stamps."""
        self.frames += 1
        self.incomplete += len(stamps) < len(self.topics)
        base = reference_name(stamps)
        self.references.append((base, stamps[base]))
        for name in stamps:
            self._used[name] += 1

    def waiting(self, names: Sequence[str]) -> None:
        """The modalities of the images that still waited for partners at the end."""
        self._waiting = Counter(names)

    def unpaired(self) -> dict[str, int]:
        """Usable images of each modality that made no frame."""
        return {name: len(self._stamps[name]) - used for name, used in self._used.items()}

    def refusals(self) -> dict[str, dict[str, int]]:
        """Why images could not be used, with how many, by modality."""
        return {name: dict(reasons) for name, reasons in self._refused.items() if reasons}

    def reason(self) -> str:
        """Why images made no frame, in a line; empty where all did."""
        left = {name: count for name, count in self.unpaired().items() if count}
        if not left:
            return ""
        counts = " and ".join(f"{count} of {name}" for name, count in left.items())
        line = f"{counts} found no partner within slop = {self.slop:g} s"
        apart = self.apart()
        if apart is None:
            empty = [name for name, stamps in self._stamps.items() if not stamps]
            return f"{counts} found no partner" + (f": no image of {', '.join(empty)}" if empty else "")
        line += f" (of the fewest images the nearest stamps are {apart[0]:.3f} s apart in the middle)"
        return line

    def apart(self) -> tuple[float, float, float] | None:
        """Seconds: the median distance of an image of the slowest modality to the nearest of the others, the
        offset of the clocks by the times of arrival, and the slop that would pair nearly all; None where a
        modality has no image."""
        if len(self._stamps) < 2 or not all(self._stamps.values()):
            return None
        stamps = {name: sorted(some) for name, some in self._stamps.items()}
        slowest = min(stamps, key=lambda name: len(stamps[name]))
        spreads = []
        for stamp in stamps[slowest]:
            near = [nearest(some, stamp) for some in stamps.values()]
            spreads.append((max(near) - min(near)) / NANOSECONDS)
        lags = [statistics.median(some) for some in self._lags.values()]
        steps = math.ceil(round(quantile(spreads, 0.95) * MARGIN / RESOLUTION, 6))
        return statistics.median(spreads), max(lags) - min(lags), max(1, steps) * RESOLUTION

    def never_paired(self) -> str:
        """What to say where there is no frame: how far the stamps are apart, and the slop to set."""
        apart = self.apart()
        received = ", ".join(f"{count} of {name}" for name, count in self.received.items())
        if apart is None:
            return f"no frame: there are images {received}"
        median, offset, slop = apart
        names = " and ".join(self.topics.values())
        line = (
            f"{names} never pair within slop = {self.slop:g} s: their nearest stamps are {median:.3f} s apart"
        )
        return line + (
            f" (the clocks by {offset:.3f} s, by the times of arrival); set --slop {slop:.3f}, or give both "
            "cameras the same clock and record anew"
        )

    def to_dict(self) -> dict[str, object]:
        """For the summary."""
        return {
            "frames": self.frames,
            "incomplete": self.incomplete,
            "failed": self.failed,
            "images": dict(self.received),
            "unpaired": self.unpaired(),
            "why_unpaired": self.reason(),
            "refused": self.refusals(),
        }
