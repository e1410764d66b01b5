"""What an iterator gives, made in a thread of its own while the last of it is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
LOOK = 0.1  # seconds after which a thread that waits looks whether it is still wanted


@dataclass(frozen=True)
class _End:
    """error: what the iterator raised, if anything."""

    error: BaseException | None = None


class ReadAhead(Generic[Item]):
    """A context manager; iterating gives what ``items`` gives, and raises what it raises. At most ``most``
    wait."""

    def __init__(self, items: Iterable[Item], most: int) -> None:
        self._items = items
        self._queue: queue.Queue[Item | _End] = queue.Queue(most)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="read ahead", daemon=True)

    def __enter__(self) -> ReadAhead[Item]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[Item]:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item

    def _run(self) -> None:
        end = _End()
        try:
            for item in self._items:
                if not self._put(item):
                    return
        except BaseException as error:  # raised again where the items are asked for
            end = _End(error)
        self._put(end)

    def _put(self, item: Item | _End) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=LOOK)
                return True
            except queue.Full:
                continue
        return False
