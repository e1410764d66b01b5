"""What comes of one frame on several topics, put together by its stamp."""

from __future__ import annotations

from collections.abc import Collection
from typing import Generic, TypeVar

Part = TypeVar("Part")


class StampJoin(Generic[Part]):
    """Parts of frames that arrive one by one, in any order.

    A frame is given once every part is there that is ``needed`` at that moment. With it go the earlier ones
    that have the part ``essential``, with what they have; the others are forgotten. At most ``kept`` frames
    wait: the one that came first gives way in the same manner.
    """

    def __init__(self, essential: str, kept: int) -> None:
        self.needed: Collection[str] = (essential,)
        self._essential = essential
        self._kept = kept
        self._waiting: dict[int, dict[str, Part]] = {}
        self._given: dict[int, set[str]] = {}  # of the latest frames that were given: their parts

    def add(self, stamp: int, name: str, part: Part) -> list[tuple[int, dict[str, Part]]]:
        """Takes a part; the frames that are ready now, with their stamps, in the order of these."""
        given = self._given.get(stamp)
        if given is not None:
            if name not in given:  # too late
                given.add(name)
                return []
            del self._given[stamp]  # the stream has gone back, and this is another frame
        self._waiting.setdefault(stamp, {})[name] = part
        ready = []
        if all(one in self._waiting[stamp] for one in self.needed):
            ready = [stamp, *self._before(stamp)]
        elif len(self._waiting) > self._kept:
            first = next(iter(self._waiting))
            ready = [first] if self._essential in self._waiting[first] else []
            if not ready:
                del self._waiting[first]
        found = [(one, self._waiting.pop(one)) for one in sorted(ready)]
        for one, parts in found:
            self._given[one] = set(parts)
        while len(self._given) > self._kept:
            del self._given[next(iter(self._given))]
        return found

    def _before(self, stamp: int) -> list[int]:
        """The earlier ones that go with a frame; forgets the rest of them."""
        earlier = [one for one in self._waiting if one < stamp]
        for one in earlier:
            if self._essential not in self._waiting[one]:
                del self._waiting[one]
        return [one for one in earlier if one in self._waiting]
