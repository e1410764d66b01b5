"""Work on many frames in several threads: OpenCV and the disk let others run meanwhile."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")

DEFAULT_WORKERS = min(8, os.cpu_count() or 1)


def in_parallel(
    work: Callable[[Item], Result], items: Sequence[Item], title: str, workers: int
) -> Generator[Result, None, None]:
    """The result for each item, in order, under a progress bar. An exception of ``work`` ends it."""
    with ThreadPoolExecutor(workers) as pool, tqdm(total=len(items), desc=title, unit="frame") as bar:
        # few are under way at a time: all the results of a large data set would not fit in memory
        pending: deque[Future[Result]] = deque()
        try:
            for item in items:
                pending.append(pool.submit(work, item))
                if len(pending) > 3 * workers:
                    yield pending.popleft().result()
                    bar.update()
            while pending:
                yield pending.popleft().result()
                bar.update()
        finally:
            for future in pending:
                future.cancel()
