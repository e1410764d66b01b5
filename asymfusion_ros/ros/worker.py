"""The one thread that segments, and the slots through which it gets the newest frame of each camera.

A network slower than the cameras must not build up a queue: a frame that waits while a newer one of its
camera comes is dropped, so the mask is always of the newest frame there is.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Generic, TypeVar

from asymfusion_ros.ros.watchdog import wait_for

Item = TypeVar("Item")


class NewestSlots(Generic[Item]):
    """Holds one item of each source for one consumer; a newer item takes the place of one that still waits.

    Sources are served in the order in which they began to wait, so that none starves: whoever was served
    last comes after all that wait, and a newer item keeps its source's place.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: dict[str, Item] = {}  # in the order of their turn
        self._closed = False

    def put(self, source: str, item: Item) -> bool:
        """Leaves ``item`` for the consumer, without waiting; True where it took the place of another."""
        with self._condition:
            replaced = source in self._waiting
            self._waiting[source] = item
            self._condition.notify()
        return replaced

    def take(self, most: int = 1) -> list[tuple[str, Item]]:
        """Waits for an item; returns up to ``most`` that wait, each with its source, the next in turn first.
        Empty once the slots are closed.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return []
            return [(source, self._waiting.pop(source)) for source in list(self._waiting)[:most]]

    def close(self) -> None:
        """Ends the waiting of the consumer; what still waits is dropped."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class InferenceWorker(Generic[Item]):
    """Runs ``process([(source, item), ...])`` for the newest items put in ``slots``, at most ``batch`` at a
    time, in the thread of ``executor``, until stopped.

    ``process`` may raise: ``on_error`` gets the traceback, and the next items are processed.
    """

    def __init__(
        self,
        process: Callable[[list[tuple[str, Item]]], None],
        on_error: Callable[[str], None],
        executor: Executor,
        batch: int = 1,
    ) -> None:
        self.slots: NewestSlots[Item] = NewestSlots()
        self._process = process
        self._on_error = on_error
        self._batch = batch
        self._running = executor.submit(self._run)

    def _run(self) -> None:
        while items := self.slots.take(self._batch):
            try:
                self._process(items)
            except BaseException:  # a SystemExit would end this thread alone, and the node would go silent
                self._on_error(traceback.format_exc())

    def stop(self, log: Callable[[str], object]) -> bool:
        """Lets the items under way finish, and gives the thread back; False where the device hangs, so that
        the thread is lost (see watchdog.py). ``log`` gets a line where it takes long.
        """
        self.slots.close()
        return wait_for(self._running, "the frame under way", log)
