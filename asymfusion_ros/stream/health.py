"""Which images of a camera arrive, stay away or went back in time, and whether they pair.

Arrival times are seconds of an injected clock that never goes back; stamps are nanoseconds of the messages'
own headers, which do go back: when a recording loops, or a driver restarts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Stamps may come out of order by a little (two publishers, a re-sent message); more than this is a jump.
JUMP_NANOSECONDS = 100_000_000


@dataclass
class TopicHealth:
    """One topic since ``started``: when a message last came, and the newest usable one's stamp."""

    started: float
    last_arrival: float | None = None
    last_usable: float | None = None
    last_stamp: int | None = None

    def arrived(self, now: float, stamp: int) -> bool:
        """Notes a usable message; True where its stamp lies before the last one by more than disorder
        explains.
        """
        jumped = self.last_stamp is not None and stamp < self.last_stamp - JUMP_NANOSECONDS
        self.last_arrival = self.last_usable = now
        # A message slightly out of order must not hide the newest stamp.
        self.last_stamp = stamp if jumped or self.last_stamp is None else max(stamp, self.last_stamp)
        return jumped

    def refused(self, now: float) -> None:
        """Notes a message that cannot be used: the topic isn't silent, but it brings nothing."""
        self.last_arrival = now

    def silence(self, now: float) -> float:
        """Seconds since the last message, or since the start where none came yet."""
        return now - (self.started if self.last_arrival is None else self.last_arrival)

    def drought(self, now: float) -> float:
        """Seconds since the last usable message, or since the start where none came yet."""
        return now - (self.started if self.last_usable is None else self.last_usable)


class StreamHealth:
    """The images that are to be paired, by modality.

    ``silent_after``: seconds without a message after which a topic is silent. ``unpaired_after``: seconds
    without a pair after which images that do come are a matter of stamps. ``missing_after``: seconds without
    a usable image after which the others go on without that modality; 0 means never.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        silent_after: float,
        unpaired_after: float,
        missing_after: float,
        now: float,
    ) -> None:
        self.silent_after = silent_after
        self.unpaired_after = unpaired_after
        self.missing_after = missing_after
        self.topics = {name: TopicHealth(now) for name in modalities}
        self._last_pair = now

    def arrived(self, name: str, now: float, stamp: int) -> bool:
        """Notes a usable image of a modality; True where its topic jumped back in time."""
        return self.topics[name].arrived(now, stamp)

    def refused(self, name: str, now: float) -> None:
        """Notes an image that cannot be used."""
        self.topics[name].refused(now)

    def paired(self, now: float) -> None:
        """Notes that images paired."""
        self._last_pair = now

    def silent(self, now: float) -> list[str]:
        """The modalities without a message for ``silent_after`` seconds, those never seen included."""
        return [name for name, health in self.topics.items() if health.silence(now) >= self.silent_after]

    def available(self, now: float) -> tuple[str, ...]:
        """The modalities to wait for: all but those that brought nothing usable for ``missing_after``."""
        if self.missing_after == 0:
            return tuple(self.topics)
        return tuple(name for name, health in self.topics.items() if health.drought(now) < self.missing_after)

    def unpaired_offset(self, now: float) -> int | None:
        """Nanoseconds between the newest stamps, where every available modality has brought something since
        the last pair and yet nothing has paired for ``unpaired_after`` seconds; None where there is nothing
        to complain about.
        """
        since = now - self._last_pair
        available = [self.topics[name] for name in self.available(now)]
        if since < self.unpaired_after or len(available) < 2:
            return None
        stamps = []
        for health in available:
            if health.last_stamp is None or health.drought(now) >= min(self.silent_after, since):
                return None
            stamps.append(health.last_stamp)
        return max(stamps) - min(stamps)
