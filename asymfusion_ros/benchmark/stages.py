"""How long each stage takes from camera bytes to labels on the host."""

from __future__ import annotations

import itertools
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from tqdm import tqdm

from asymfusion_ros.benchmark.plain import PlainEager
from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.data.made_images import made_images
from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.data.transform import Transform
from asymfusion_ros.engine.geometry import Geometry, Projector, Unregistered
from asymfusion_ros.engine.segmenter import Segmenter

STAGES = ("upload", "preprocess", "network", "postprocess", "download")
PLAIN, PLAIN_EVERY = "plain", 4


def measure(
    segmenter: Segmenter,
    plain: PlainEager | None,
    height: int,
    width: int,
    modalities: Sequence[str],
    frames: int,
    warm_up: int,
) -> dict[str, list[float]]:
    """Milliseconds of each stage and of their ``total``, a value a frame; and of the ``plain`` network, where
    one is given, every fourth frame, so that both have the same other work beside them.

    The images are new ones each time, so that no cache holds them. On a GPU the stages are timed by its own
    events, between which nothing waits for the host.
    """
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "total")}
    gpu = segmenter.device.type == "cuda"
    described = [segmenter.checkpoint.input_spec.modality(name) for name in modalities]
    for i in tqdm(range(warm_up + frames), desc="bench", unit="frame", leave=False, disable=None):
        made = made_images(rng, described, height, width)
        mark, elapsed = _gpu_clock(segmenter.device) if gpu else _cpu_clock()
        mark()
        with torch.inference_mode():
            given = segmenter.images(made)
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
        if plain is not None and (i - warm_up) % PLAIN_EVERY == 0:
            if i == warm_up:
                plain(given)  # its first call is slow too
            mark, elapsed = _gpu_clock(segmenter.device) if gpu else _cpu_clock()
            mark()
            plain(given)
            mark()
            times.setdefault(PLAIN, []).append(elapsed()[0])
    return times


def measure_geometry(
    device: torch.device, height: int, width: int, frames: int, warm_up: int
) -> dict[str, list[float]]:
    """Milliseconds a frame of ``registration`` (depth of one camera projected into another of the same size)
    and of ``points`` (labelled points, until they are on the host)."""
    rng = np.random.default_rng(0)
    colour = CameraModel(width, height, 0.9 * width, 0.9 * width, (width - 1) / 2, (height - 1) / 2)
    depth_camera = replace(colour, fx=width, fy=width)
    # As in most RGB-D cameras: a few centimetres beside each other, turned by half a degree.
    unregistered = Unregistered(depth_camera, Transform.parse("0.05 0 0 0 0.005 0 1"))
    geometry = Geometry(colour, "depth", unregistered, points=True)
    projector = Projector(device)
    times: dict[str, list[float]] = {"registration": [], "points": []}
    for i in tqdm(range(warm_up + frames), desc="points", unit="frame", leave=False, disable=None):
        made = made_images(rng, (KNOWN["rgb"], KNOWN["depth"]), height, width)
        rgb = torch.from_numpy(made["rgb"]).to(device).permute(2, 0, 1)
        labels = torch.from_numpy(rng.integers(0, 40, (height, width), np.uint8)).to(device)
        depth = torch.from_numpy(made["depth"]).to(device).float() / 1000
        mark, elapsed = _gpu_clock(device) if device.type == "cuda" else _cpu_clock()
        mark()
        with torch.inference_mode():
            decoded = projector.registered(geometry, {"rgb": rgb[None], "depth": depth[None, None]})
            mark()
            projector.points(geometry, decoded, labels, labels).cpu()
            mark()
        if i >= warm_up:
            for name, value in zip(times, elapsed(), strict=True):
                times[name].append(value)
    return times


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile and the least, rounded to microseconds."""
    return {
        "p50": round(statistics.median(values), 3),
        "p95": round(float(np.percentile(values, 95)), 3),
        "p99": round(float(np.percentile(values, 99)), 3),
        "best": round(min(values), 3),
    }


def peak_memory(device: torch.device) -> dict[str, float]:
    """MiB that this process has had at most: of memory, and of a GPU's."""
    found = {"host_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}
    if device.type == "cuda":
        found["gpu_mib"] = round(torch.cuda.max_memory_allocated(device) / 2**20, 1)
    return found


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
