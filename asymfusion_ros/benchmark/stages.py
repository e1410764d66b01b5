"""How long each stage takes from camera bytes to labels on the host."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
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
from asymfusion_ros.engine.segmenter import Image, Segmenter

STAGES = ("upload", "preprocess", "network", "postprocess", "download")
PLAIN, PLAIN_EVERY = "plain", 4
Times = dict[str, list[float]]


class Frames:
    """Made images, new ones at each call, so that no cache holds them."""

    def __init__(self, segmenter: Segmenter, modalities: Sequence[str], height: int, width: int) -> None:
        self._rng = np.random.default_rng(0)
        self._described = [segmenter.checkpoint.input_spec.modality(name) for name in modalities]
        self.height, self.width = height, width

    def __call__(self) -> Mapping[str, Image]:
        """A frame's, by modality."""
        return made_images(self._rng, self._described, self.height, self.width)


def stage_times(segmenter: Segmenter, made: Mapping[str, Image]) -> dict[str, float]:
    """Milliseconds of each stage of one frame, and of their ``total``. On a GPU the stages are timed by its
    own events, between which nothing waits for the host."""
    mark, elapsed = clock(segmenter.device)
    mark()
    with torch.inference_mode():
        given = segmenter.images(made)
        buffers = segmenter.upload(given)
        mark()
        inputs = segmenter.preprocess(given, buffers)
        mark()
        output = segmenter.infer(inputs)
        mark()
        reference = segmenter.reference(given)
        result = segmenter.postprocess(output, (reference.height, reference.width), confidence=True)
        mark()
        result.numpy()
        mark()
    stages = elapsed()
    return {**dict(zip(STAGES, stages, strict=True)), "total": sum(stages)}


def measure(
    segmenter: Segmenter,
    plain: PlainEager | None,
    frames: Frames,
    count: int,
    warm_up: int,
) -> Times:
    """Milliseconds of each stage and of their ``total``, a value a frame; and of the ``plain`` network, where
    one is given, every fourth frame, so that both have the same other work beside them."""
    times: Times = {stage: [] for stage in (*STAGES, "total")}
    for i in tqdm(range(warm_up + count), desc="bench", unit="frame", leave=False, disable=None):
        made = frames()
        found = stage_times(segmenter, made)
        if i >= warm_up:
            for stage, value in found.items():
                times[stage].append(value)
        if plain is not None and (i - warm_up) % PLAIN_EVERY == 0:
            given = segmenter.images(made)
            if i == warm_up:
                plain(given)  # its first call is slow too
            mark, elapsed = clock(segmenter.device)
            mark()
            plain(given)
            mark()
            times.setdefault(PLAIN, []).append(elapsed()[0])
    return times


def measure_geometry(device: torch.device, height: int, width: int, frames: int, warm_up: int) -> Times:
    """Milliseconds a frame of ``registration`` (depth of one camera projected into another of the same size)
    and of ``points`` (labelled points, until they are on the host)."""
    rng = np.random.default_rng(0)
    colour = CameraModel(width, height, 0.9 * width, 0.9 * width, (width - 1) / 2, (height - 1) / 2)
    depth_camera = replace(colour, fx=width, fy=width)
    # As in most RGB-D cameras: a few centimetres beside each other, turned by half a degree.
    unregistered = Unregistered(depth_camera, Transform.parse("0.05 0 0 0 0.005 0 1"))
    geometry = Geometry(colour, "depth", unregistered, points=True)
    projector = Projector(device)
    times: Times = {"registration": [], "points": []}
    for i in tqdm(range(warm_up + frames), desc="points", unit="frame", leave=False, disable=None):
        made = made_images(rng, (KNOWN["rgb"], KNOWN["depth"]), height, width)
        rgb = torch.from_numpy(made["rgb"]).to(device).permute(2, 0, 1)
        labels = torch.from_numpy(rng.integers(0, 40, (height, width), np.uint8)).to(device)
        depth = torch.from_numpy(made["depth"]).to(device).float() / 1000
        mark, elapsed = clock(device)
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


Clock = tuple[Callable[[], None], Callable[[], list[float]]]


def clock(device: torch.device) -> Clock:
    """(``mark``, ``elapsed``): the milliseconds between the marks, by a GPU's own clock where it is one."""
    return _gpu_clock(device) if device.type == "cuda" else _cpu_clock()


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
