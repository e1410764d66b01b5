"""Waiting for a thread that may never come back: a device that hangs must not hang the node in silence."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, TimeoutError
from typing import Any

SAY_AFTER = 5.0  # seconds
GIVE_UP_AFTER = 30.0


def wait_for(running: Future[Any], what: str, log: Callable[[str], object]) -> bool:
    """Waits until ``running`` is done, and logs a line where that takes SAY_AFTER seconds. False where it is
    not done after GIVE_UP_AFTER seconds: its thread is given up.
    """
    for seconds, line in (
        (
            SAY_AFTER,
            f"{what} has not ended for {SAY_AFTER:g} s: the device hangs or is very busy; waiting on",
        ),
        (GIVE_UP_AFTER - SAY_AFTER, f"{what} has not ended for {GIVE_UP_AFTER:g} s: it is given up"),
    ):
        try:
            running.result(seconds)
        except TimeoutError:
            log(line)
        else:
            return True
    return False
