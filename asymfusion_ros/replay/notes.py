"""What there is to say of a recording, each thing once."""

from __future__ import annotations

from collections.abc import Callable, Hashable


class Notes:
    """Lines for the user, printed by ``say`` as they come and kept in ``lines``. A log of the messages'
    readers: the same thing need not be said twice."""

    def __init__(self, say: Callable[[str], None] = lambda line: None) -> None:
        self.lines: list[str] = []
        self._say = say
        self._keys: set[Hashable] = set()

    def once(self, key: Hashable, line: str) -> None:
        """Takes a line unless there was one of this key."""
        if key not in self._keys:
            self._keys.add(key)
            self.lines.append(line)
            self._say(line)

    info = info_once = warning = warning_once = once

    def __call__(self, line: str) -> None:
        """A line that is its own key."""
        self.once(line, line)
