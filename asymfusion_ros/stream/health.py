"""Which images of a camera arrive, stay away or went back in time, and whether they pair.

Arrival times are seconds of an injected clock that never goes back; stamps are nanoseconds of the messages'
own headers, which do go back: when a recording loops, or a driver restarts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from asymfusion_ros.stream.arrivals import Arrivals

# Stamps may come out of order by a little (two publishers, a re-sent message); more than this is a jump.
JUMP_NANOSECONDS = 100_000_000
# Stamps that advance by more than this beyond the time that has passed jumped forward: a clock that was set.
FORWARD_NANOSECONDS = 5_000_000_000
# Periods after which a topic's next image is overdue.
OVERDUE = 2.5


@dataclass
class TopicHealth:
    """One topic since ``started``: when a message last came, and the newest usable one's stamp.

    last_refusal: when a message last could not be used, and why. last_jump: when the stamps last jumped, and
    by how many nanoseconds.
    """

    started: float
    last_arrival: float | None = None
    last_usable: float | None = None
    last_stamp: int | None = None
    last_refusal: tuple[float, str] | None = None
    last_jump: tuple[float, int] | None = None
    arrivals: Arrivals = field(default_factory=Arrivals)

    def arrived(self, now: float, stamp: int) -> int:
        """Notes a usable message. Returns the nanoseconds by which its stamp jumped: negative where it lies
        before the newest one by more than disorder explains, positive where it lies after it by more than
        the time that has passed, 0 where it follows.
        """
        jump = self._jump(now, stamp)
        if jump:
            self.last_jump = now, jump
            self.arrivals.clear()
        self.last_arrival = self.last_usable = now
        # A message slightly out of order must not hide the newest stamp.
        self.last_stamp = stamp if jump or self.last_stamp is None else max(stamp, self.last_stamp)
        self.arrivals.add(stamp, now)
        return jump

    def _jump(self, now: float, stamp: int) -> int:
        if self.last_stamp is None or self.last_usable is None:
            return 0
        step = stamp - self.last_stamp
        passed = round((now - self.last_usable) * 1e9)
        return step if step < -JUMP_NANOSECONDS or step > passed + FORWARD_NANOSECONDS else 0

    def refused(self, now: float, reason: str = "") -> None:
        """Notes a message that cannot be used: the topic isn't silent, but it brings nothing."""
        self.last_arrival = now
        self.last_refusal = now, reason

    def silence(self, now: float) -> float:
        """Seconds since the last message, or since the start where none came yet."""
        return now - (self.started if self.last_arrival is None else self.last_arrival)

    def usable_since(self, time: float) -> bool:
        """Whether a usable message came at ``time`` or later."""
        return self.last_usable is not None and self.last_usable >= time

    def drought(self, now: float) -> float:
        """Seconds since the last usable message, or since the start where none came yet."""
        return now - (self.started if self.last_usable is None else self.last_usable)


class StreamHealth:
    """The images that are to be paired, by modality.

    ``silent_after``: seconds without a message after which a topic is silent. ``unpaired_after``: seconds
    without a pair after which images that do come are a matter of stamps. ``missing_after``: seconds that an
    image waits in vain for its partners before frames are made without those modalities; 0 means for ever.
    ``slop``: seconds between stamps that still pair.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        silent_after: float,
        unpaired_after: float,
        missing_after: float,
        now: float,
        slop: float = 0.0,
    ) -> None:
        self.silent_after = silent_after
        self.unpaired_after = unpaired_after
        self.missing_after = missing_after
        self.slop_nanoseconds = int(slop * 1e9)
        self.topics = {name: TopicHealth(now) for name in modalities}
        self._last_pair = now
        self._waiting_since: float | None = None
        self._available = tuple(self.topics)
        self._chosen = now  # when it was last looked at who is missing

    def change(self, missing_after: float, slop: float) -> None:
        """Goes by other limits from now on, as if nothing had been missing."""
        self.missing_after, self.slop_nanoseconds = missing_after, int(slop * 1e9)
        self._waiting_since, self._available = None, tuple(self.topics)

    def arrived(self, name: str, now: float, stamp: int) -> int:
        """Notes a usable image of a modality; returns by how much its topic's stamps jumped (see
        TopicHealth).
        """
        if self._waiting_since is None:
            self._waiting_since = now
        jump = self.topics[name].arrived(now, stamp)
        if jump:
            # The others follow in a moment: until then nothing seems to pair.
            self._chosen = now
        return jump

    def refused(self, name: str, now: float, reason: str = "") -> None:
        """Notes an image that cannot be used."""
        self.topics[name].refused(now, reason)

    def paired(self, now: float, modalities: Sequence[str] | None = None) -> None:
        """Notes a frame of ``modalities`` (all, where not given)."""
        whole = modalities is None or len(modalities) == len(self.topics)
        if whole:
            self._waiting_since = None
            self._available = tuple(self.topics)
        if whole or len(modalities or ()) > 1:
            self._last_pair = now

    def silent(self, now: float) -> list[str]:
        """The modalities without a message for ``silent_after`` seconds, those never seen included."""
        return [name for name, health in self.topics.items() if health.silence(now) >= self.silent_after]

    def available(self, now: float) -> tuple[str, ...]:
        """The modalities to make frames of now.

        All, until an image has waited for ``missing_after`` seconds while no frame of all came. From then on
        those that come and pair with the first of them, until all pair again.
        """
        if self.missing_after == 0 or self._waiting_since is None:
            return self._available
        # Not at each image: those of an instant come one after another.
        if now - max(self._waiting_since, self._chosen) >= self.missing_after:
            self._available = self._without_missing(now)
            self._chosen = now
        return self._available

    def overdue(self, name: str, now: float) -> bool:
        """Whether a modality has brought nothing usable for longer than ``missing_after`` and its own period
        explain.
        """
        health = self.topics[name]
        limit = self.missing_after or self.silent_after
        return health.drought(now) > max(limit, OVERDUE * (health.arrivals.period or 0.0))

    def slow(self) -> dict[str, float]:
        """The modalities whose images come at longer intervals than ``missing_after``, with their period in
        seconds: frames without them are made in between.
        """
        periods = {name: health.arrivals.period or 0.0 for name, health in self.topics.items()}
        return {name: period for name, period in periods.items() if 0 < self.missing_after < period}

    def unpaired_offset(self, now: float) -> int | None:
        """Nanoseconds between the newest stamps, where every modality that is not missing has brought
        something since the last pair and yet nothing has paired for ``unpaired_after`` seconds; None where
        there is nothing to complain about.
        """
        since = now - self._last_pair
        present = [self.topics[name] for name in self.present(now)]
        if since < self.unpaired_after or len(present) < 2:
            return None
        stamps = []
        for health in present:
            if health.last_stamp is None or health.drought(now) >= min(self.silent_after, since):
                return None
            stamps.append(health.last_stamp)
        return max(stamps) - min(stamps)

    def present(self, now: float) -> list[str]:
        """The modalities that are to pair: all but those that are missing, where there is such a limit."""
        return [name for name in self.topics if self.missing_after == 0 or not self.overdue(name, now)]

    def _without_missing(self, now: float) -> tuple[str, ...]:
        assert self._waiting_since is not None
        coming = [name for name in self.topics if not self.overdue(name, now)]
        if len(self._available) == len(self.topics):
            # The image that has waited since then may be its topic's only one.
            since = self._waiting_since
            coming = [n for n, health in self.topics.items() if n in coming or health.usable_since(since)]
        if not coming:
            return self._available
        first = self.topics[coming[0]]
        together = [name for name in coming if name == coming[0] or self._near(name, first.last_stamp)]
        # All of them come, and yet they do not make a frame: the first goes on alone.
        return tuple(together) if len(together) < len(self.topics) else (coming[0],)

    def _near(self, name: str, stamp: int | None) -> bool:
        """Whether a modality has an image that pairs with ``stamp``, or with one a period away from it."""
        health = self.topics[name]
        reach = self.slop_nanoseconds + round(OVERDUE * 1e9 * (health.arrivals.period or 0.0))
        return stamp is not None and health.arrivals.partner(stamp, reach) is not None
