"""How the cost of a frame grows: with the input's size, the modalities, the cameras, and work of its own kind
beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import numpy as np
from tqdm import tqdm

from asymfusion_ros.benchmark.figures import summary
from asymfusion_ros.benchmark.stages import STAGES, Frames, Times, stage_times
from asymfusion_ros.engine.segmenter import Segmenter, Wanted

Size = tuple[int, int]


def in_turns(
    cases: Mapping[Any, Callable[[], dict[str, float]]], rounds: int, what: str, seed: int = 0
) -> dict[Any, Times]:
    """Each case's milliseconds, by name, of so many calls. The cases take turns in shuffled order, so that
    what else the machine does meets all of them."""
    for run in cases.values():
        run()  # the first is slow
    rng = np.random.default_rng(seed)
    names = list(cases)
    turns = [names[i] for _ in range(rounds) for i in rng.permutation(len(names))]
    found: dict[Any, Times] = {name: {} for name in names}
    for name in tqdm(turns, desc=what, leave=False, disable=None):
        for part, value in cases[name]().items():
            found[name].setdefault(part, []).append(value)
    return found


def sizes(
    segmenter: Segmenter, frames: Frames, wanted: Sequence[Size], rounds: int
) -> dict[Size, dict[str, Any]]:
    """``wanted``: (height, width) of the network's inputs. Each one's milliseconds by stage, by the size that
    it is for images of these frames' aspect ratio.

    Raises ConfigError for an exported file, which has one size.
    """
    resized = [segmenter.at_input_size(*size) for size in wanted]
    cases = {
        one.checkpoint.input_spec.network_size(frames.height, frames.width): _staged(one, frames)
        for one in resized
    }
    return {size: _summaries(times) for size, times in in_turns(cases, rounds, "sizes").items()}


def modality_sets(
    segmenter: Segmenter, frames_of: Mapping[tuple[str, ...], Frames], rounds: int
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Each set's milliseconds by stage."""
    cases = {names: _staged(segmenter, frames) for names, frames in frames_of.items()}
    return {names: _summaries(times) for names, times in in_turns(cases, rounds, "modalities").items()}


def cameras(
    segmenter: Segmenter, frames: Frames, wanted: Sequence[int], rounds: int
) -> dict[int, dict[str, Any]]:
    """So many frames in one call each. Milliseconds of the whole call, until all masks are on the host."""

    def batch(count: int) -> dict[str, float]:
        given = [(frames(), Wanted()) for _ in range(count)]
        began = time.perf_counter()
        for result in [result.to_host() for result in segmenter.segment_batch(given)]:
            result.wait()
        return {"total": 1000 * (time.perf_counter() - began)}

    cases = {count: (lambda count=count: batch(count)) for count in wanted}
    found = in_turns(cases, rounds, "cameras")
    return {count: {**_summaries(times), **_rate(times, count)} for count, times in found.items()}


def streams(
    make: Callable[[], Segmenter],
    make_frames: Callable[[Segmenter], Frames],
    wanted: Sequence[int],
    rounds: int,
) -> dict[int, dict[str, Any]]:
    """So many segmenters at once, each in a thread of its own, as fast as they can. Milliseconds of a frame
    of any of them; masks a second of all together."""
    most = max(wanted)
    # A segmenter belongs to the thread that made it, as in the node.
    threads = [ThreadPoolExecutor(1) for _ in range(most)]
    try:
        segmenters = [thread.submit(make).result() for thread in threads]
        sources = [make_frames(segmenter) for segmenter in segmenters]
        found = {}
        for count in tqdm(wanted, desc="streams", leave=False, disable=None):
            barrier = Barrier(count)
            running = [
                thread.submit(_stream, segmenter, frames, rounds, barrier)
                for thread, segmenter, frames in list(zip(threads, segmenters, sources))[:count]
            ]
            times = [one.result() for one in running]
            frame_times = [1000 * value for values in times for value in values]
            masks = sum(len(values) / sum(values) for values in times)
            found[count] = {
                "milliseconds": {"total": summary(frame_times)},
                "masks_per_second": round(masks, 2),
            }
        return found
    finally:
        for thread in threads:
            thread.shutdown()


def _stream(segmenter: Segmenter, frames: Frames, rounds: int, barrier: Barrier) -> list[float]:
    """Seconds of each frame; all streams begin together."""
    made = [frames() for _ in range(min(rounds, 4))]
    segmenter.segment(made[0]).numpy()
    barrier.wait()
    times = []
    for i in range(rounds):
        began = time.perf_counter()
        segmenter.segment(made[i % len(made)]).numpy()
        times.append(time.perf_counter() - began)
    return times


def _staged(segmenter: Segmenter, frames: Frames) -> Callable[[], dict[str, float]]:
    return lambda: stage_times(segmenter, frames())


def _summaries(times: Times) -> dict[str, Any]:
    order = [part for part in (*STAGES, "total") if part in times]
    return {"milliseconds": {part: summary(times[part]) for part in order}}


def _rate(times: Times, masks: int) -> dict[str, float]:
    return {"masks_per_second": round(1000 * masks / summary(times["total"])["p50"], 2)}
