"""Work done in a thread beside, one piece after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class InTurn:
    """A context manager. What a piece of work raises is raised by one of the calls that follow; what comes
    after it is not done."""

    def __init__(self, most: int) -> None:
        """``most``: pieces that may wait."""
        self._most = most
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._pending: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> InTurn:
        return self

    def __exit__(self, *_: object) -> None:
        self._failed = True  # what still waits is not wanted any more
        self._pool.shutdown()

    def do(self, work: Callable[[], None]) -> None:
        """Takes a piece of work, and waits where too many do."""
        self._pending.append(self._pool.submit(self._run, work))
        while len(self._pending) > self._most or self._pending[0].done():
            self._pending.popleft().result()
            if not self._pending:
                break

    def wait(self) -> None:
        """Until all is done."""
        while self._pending:
            self._pending.popleft().result()

    def _run(self, work: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            work()
        except BaseException:
            self._failed = True
            raise
