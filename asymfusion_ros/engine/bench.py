"""How long each stage takes from camera bytes to labels on the host."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from tqdm import tqdm

from asymfusion_ros.engine.segmenter import Image, Segmenter

STAGES = ("upload", "preprocess", "network", "postprocess", "download")


def measure(
    segmenter: Segmenter, height: int, width: int, modalities: Sequence[str], frames: int, warm_up: int
) -> dict[str, list[float]]:
    """Milliseconds of each stage and of their ``total``, a value a frame.

    The images are new ones each time, so that no cache holds them. On a GPU the stages are timed by its own
    events, between which nothing waits for the host.
    """
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "total")}
    gpu = segmenter.device.type == "cuda"
    for i in tqdm(range(warm_up + frames), desc="bench", unit="frame", leave=False, disable=None):
        rgb, depth = images(rng, height, width)
        mark, elapsed = _gpu_clock(segmenter.device) if gpu else _cpu_clock()
        mark()
        with torch.inference_mode():
            every: dict[str, Image] = {"rgb": rgb, "depth": depth}
            given = segmenter.images({name: every[name] for name in modalities})
            buffers = segmenter.upload(given)
            mark()
            inputs = segmenter.preprocess(given, buffers)
            mark()
            output = segmenter.infer(inputs)
            mark()
            result = segmenter.postprocess(output, (height, width), confidence=True)
            mark()
            result.numpy()
            mark()
        if i >= warm_up:
            stages = elapsed()
            for stage, value in zip(STAGES, stages):
                times[stage].append(value)
            times["total"].append(sum(stages))
    return times


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, rounded to microseconds."""
    return {
        "p50": round(statistics.median(values), 3),
        "p95": round(float(np.percentile(values, 95)), 3),
    }


Clock = tuple[Callable[[], None], Callable[[], list[float]]]


def _cpu_clock() -> Clock:
    marks: list[float] = []

    def elapsed() -> list[float]:
        return [1000 * (end - start) for start, end in itertools.pairwise(marks)]

    return lambda: marks.append(time.perf_counter()), elapsed


def _gpu_clock(device: torch.device) -> Clock:
    events: list[torch.cuda.Event] = []

    def mark() -> None:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(device))
        events.append(event)

    def elapsed() -> list[float]:
        torch.cuda.synchronize(device)
        return [start.elapsed_time(end) for start, end in itertools.pairwise(events)]

    return mark, elapsed


def images(
    rng: np.random.Generator, height: int, width: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """An RGB and a depth (millimetres) image of noise over a ramp."""
    ramp = np.linspace(0, 1, height)[:, None] + np.linspace(0, 1, width)
    rgb = np.repeat((ramp * 100).astype(np.uint8)[..., None], 3, 2)
    rgb += rng.integers(0, 50, (height, width, 3), np.uint8)
    depth = (800 + 2000 * ramp).astype(np.uint16) + rng.integers(0, 30, (height, width), np.uint16)
    return rgb, depth
