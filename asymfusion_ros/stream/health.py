"""Which topics of a camera are alive, silent, or went back in time, and whether they pair.

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
    """The topics that are to be paired.

    ``silent_after``: seconds without a message after which a topic is silent. ``unpaired_after``: seconds
    without a pair after which images that do come are a matter of stamps.
    """

    def __init__(self, topics: Sequence[str], silent_after: float, unpaired_after: float, now: float) -> None:
        self.silent_after = silent_after
        self.unpaired_after = unpaired_after
        self.topics = {topic: TopicHealth(now) for topic in topics}
        self._last_pair = now

    def arrived(self, topic: str, now: float, stamp: int) -> bool:
        """Notes a usable message of ``topic``; True where the topic jumped back in time."""
        return self.topics[topic].arrived(now, stamp)

    def refused(self, topic: str, now: float) -> None:
        self.topics[topic].refused(now)

    def paired(self, now: float) -> None:
        self._last_pair = now

    def silent(self, now: float) -> list[str]:
        """The topics without a message for ``silent_after`` seconds, those never seen included."""
        return [topic for topic, health in self.topics.items() if health.silence(now) >= self.silent_after]

    def missing(self, topic: str, now: float, missing_after: float) -> bool:
        """True where ``topic`` has brought nothing usable for so long that the others go on without it;
        0 means never.
        """
        return 0 < missing_after <= self.topics[topic].drought(now)

    def unpaired_offset(self, now: float) -> int | None:
        """Nanoseconds between the newest stamps, where every topic has brought something since the last pair
        and yet nothing has paired for ``unpaired_after`` seconds; None where there is nothing to complain
        about.
        """
        if now - self._last_pair < self.unpaired_after:
            return None
        stamps = []
        for health in self.topics.values():
            if health.last_stamp is None or health.drought(now) >= min(
                self.silent_after, now - self._last_pair
            ):
                return None
            stamps.append(health.last_stamp)
        return max(stamps) - min(stamps)
