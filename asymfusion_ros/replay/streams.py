"""Several frames at once, each on its share of a CPU's threads.

One frame on all threads makes them wait for each other at every layer, the more so where reading and writing
want the same cores; frames side by side do not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import torch

from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.engine.segmenter import Segmenter

MOST = 8  # frames at once: each has its own copy of the network
Frame = TypeVar("Frame")
Result = TypeVar("Result")


def open_streams(
    model: ModelDescription,
    device: str = "auto",
    precision: str = "auto",
    backend: str = "auto",
    threads: int = 0,
) -> list[Segmenter]:
    """The network, once on a GPU and else for as many frames at once as there are ``threads`` (0: as many as
    torch takes), 8 at most. Raises what Segmenter does."""
    first = Segmenter(model, device, precision, backend, threads=threads)
    count = 1
    if first.device.type == "cpu":
        threads = threads or torch.get_num_threads()
        count = min(MOST, threads)
    if count == 1:
        return [first]
    return [Segmenter(model, device, precision, backend, threads=threads // count) for _ in range(count)]


def in_streams(
    segmenters: Sequence[Segmenter], frames: Iterable[Frame], do: Callable[[Segmenter, Frame], Result]
) -> Iterator[tuple[Frame, Result]]:
    """``do`` for each frame, with as many at once as there are segmenters; in the frames' order. What it
    raises is raised where its frame's turn would be."""
    if len(segmenters) == 1:
        for frame in frames:
            yield frame, do(segmenters[0], frame)
        return
    free: SimpleQueue[Segmenter] = SimpleQueue()
    for one in segmenters:
        free.put(one)
    threads = torch.get_num_threads()

    def run(frame: Frame) -> Result:
        segmenter = free.get()
        try:
            return do(segmenter, frame)
        finally:
            free.put(segmenter)

    # Each new thread would begin with as many threads of its own as there are cores.
    with ThreadPoolExecutor(
        len(segmenters), "network", initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        waiting: deque[tuple[Frame, Future[Result]]] = deque()
        try:
            for frame in frames:
                waiting.append((frame, pool.submit(run, frame)))
                if len(waiting) > len(segmenters):
                    done, result = waiting.popleft()
                    yield done, result.result()
            while waiting:
                done, result = waiting.popleft()
                yield done, result.result()
        finally:
            for _, future in waiting:
                future.cancel()
