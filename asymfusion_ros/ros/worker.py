"""The one thread that segments, and the slot through which it gets the newest frame.

A network slower than the camera must not build up a queue: a frame that waits while a newer one comes is
dropped, so the mask is always of the newest frame there is.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

from asymfusion_ros.ros.watchdog import wait_for

Item = TypeVar("Item")


class NewestSlot(Generic[Item]):
    """Holds one item for one consumer; a newer item takes the place of one that still waits."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: Item | None = None
        self._closed = False

    def put(self, item: Item) -> bool:
        """Leaves ``item`` for the consumer, without waiting; True where it took the place of another."""
        with self._condition:
            replaced = self._item is not None
            self._item = item
            self._condition.notify()
        return replaced

    def take(self) -> Item | None:
        """Waits for an item; None once the slot is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        """Ends the waiting of the consumer; what still waits is dropped."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class InferenceWorker(Generic[Item]):
    """Runs ``process(item)`` for the newest item put in ``slot``, in the thread of ``executor``, until
    stopped.

    ``process`` may raise: ``on_error`` gets the traceback, and the next item is processed.
    """

    def __init__(
        self, process: Callable[[Item], None], on_error: Callable[[str], None], executor: Executor
    ) -> None:
        self.slot: NewestSlot[Item] = NewestSlot()
        self._process = process
        self._on_error = on_error
        self._running = executor.submit(self._run)

    def _run(self) -> None:
        while (item := self.slot.take()) is not None:
            try:
                self._process(item)
            except BaseException:  # a SystemExit would end this thread alone, and the node would go silent
                self._on_error(traceback.format_exc())

    def stop(self, log: Callable[[str], object]) -> bool:
        """Lets the item under way finish, and gives the thread back; False where the device hangs, so that
        the thread is lost (see watchdog.py). ``log`` gets a line where it takes long.
        """
        self.slot.close()
        return wait_for(self._running, "the frame under way", log)
