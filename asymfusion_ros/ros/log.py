"""A node's log, held back so that a fault that comes with every image is a line now and then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

from asymfusion_ros.stream.throttle import Throttle

PERIOD = 5.0  # seconds between the first two lines about the same thing; twice as long after each
LONGEST_PERIOD = 60.0
LONGEST_TEXT = 500  # characters of what others sent that a line may quote; a traceback may be longer


class ThrottledLog:
    """Writes to an rclpy logger, each ``key`` at most once in PERIOD seconds, and ever more rarely, down
    to once in LONGEST_PERIOD, while it keeps coming.

    rclpy's own throttle_duration_sec goes by the line of code that logs: two topics that fail in the same
    way would hide each other. ``prefix`` begins every line.
    """

    def __init__(self, logger: Any, clock: Callable[[], float] = time.monotonic, prefix: str = "") -> None:
        self._logger = logger
        self._prefix = prefix
        self._throttle = Throttle(PERIOD, LONGEST_PERIOD, clock)
        self._lock = threading.Lock()
        self._texts: dict[Hashable, str] = {}

    def info(self, key: Hashable, text: str) -> None:
        """Something that a person may want to know."""
        if (line := self._admitted(key, text)) is not None:
            self._logger.info(line)

    def warning(self, key: Hashable, text: str) -> None:
        """A fault that the node goes on with."""
        if (line := self._admitted(key, text)) is not None:
            self._logger.warning(line)

    def error(self, key: Hashable, text: str) -> None:
        """A fault that nobody foresaw, with its traceback."""
        if (line := self._admitted(key, text)) is not None:
            self._logger.error(line)

    def info_once(self, key: Hashable, text: str) -> None:
        """Never again until ``forget``."""
        if self._throttle.first(key):
            self._logger.info(self._prefix + text)

    def warning_once(self, key: Hashable, text: str) -> None:
        """Never again until ``forget``."""
        if self._throttle.first(key):
            self._logger.warning(self._prefix + text)

    def warning_changed(self, key: Hashable, text: str) -> None:
        """Not again while it says the same; ever more rarely where it keeps changing."""
        with self._lock:
            same = self._texts.get(key) == text
            self._texts[key] = text
        if not same and (line := self._admitted(key, text)) is not None:
            self._logger.warning(line)

    def forget(self) -> None:
        """Starts afresh: for a node that is activated again."""
        self._throttle.forget()
        with self._lock:
            self._texts.clear()

    # Not the writing itself: rclpy takes one line of code for one severity.
    def _admitted(self, key: Hashable, text: str) -> str | None:
        held_back = self._throttle.admit(key)
        if held_back is None:
            return None
        return self._prefix + text + (f" ({held_back} more like it)" if held_back else "")


def shortened(text: str, longest: int = LONGEST_TEXT) -> str:
    """``text``, cut in its middle where it is longer than ``longest`` characters: a message can carry a
    megabyte where a word is meant. Its beginning and its end stay."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}... ({len(text) - 2 * half} more characters) ...{text[-half:]}"
