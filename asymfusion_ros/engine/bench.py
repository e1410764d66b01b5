"""`asymfusion bench`: how long each stage takes from camera bytes to labels on the host."""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from asymfusion_ros import __version__
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.errors import UserError

EXAMPLES = """\
  asymfusion bench
  asymfusion bench --checkpoint model.safetensors --device cuda --size 1280x720 --json bench.json
  asymfusion bench --modalities rgb --threads 1
"""
STAGES = ("upload", "preprocess", "network", "postprocess", "download")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint", default="default", help="a .safetensors file (default: the package's)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="auto, fp32, fp16 or bf16 (default: %(default)s)")
    parser.add_argument("--size", default="640x480", help="WIDTHxHEIGHT of the images (default: %(default)s)")
    parser.add_argument("--modalities", nargs="+", choices=("rgb", "depth"), default=["rgb", "depth"])
    parser.add_argument("--frames", type=int, default=60, help="frames to time (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=10, help="frames before those (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    parser.add_argument("--json", type=Path, help="also write the numbers here")


def run(args: argparse.Namespace) -> int:
    width, height = _size(args.size)
    if args.frames < 1 or args.warm_up < 0:
        raise UserError(f"--frames {args.frames} must be 1 or more, --warm-up {args.warm_up} 0 or more")
    if args.threads is not None:
        if args.threads < 1:
            raise UserError(f"--threads {args.threads} must be 1 or more")
        torch.set_num_threads(args.threads)
    segmenter = Segmenter.from_checkpoint(args.checkpoint, args.device, args.precision)
    times = measure(segmenter, height, width, args.modalities, args.frames, args.warm_up)
    report = {
        "checkpoint": args.checkpoint,
        "size": [width, height],
        "modalities": args.modalities,
        "device": _device_name(segmenter.device),
        "precision": str(segmenter.dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "version": __version__,
        "frames": args.frames,
        "milliseconds": {stage: summary(values) for stage, values in times.items()},
        "masks_per_second": round(1000 / summary(times["total"])["p50"], 2),
    }
    _print(report)
    if args.json:
        try:
            args.json.write_text(json.dumps(report, indent=2) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {args.json}: {error.strerror}") from error
    return 0


def measure(
    segmenter: Segmenter, height: int, width: int, modalities: Sequence[str], frames: int, warm_up: int
) -> dict[str, list[float]]:
    """Milliseconds of each stage and of their ``total``, a value a frame.

    The images are noise over smooth gradients: new ones each time, so that no cache holds them. On a GPU
    the stages are timed by its own events, between which nothing waits for the host.
    """
    rng = np.random.default_rng(0)
    times: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "total")}
    clock = _gpu_clock if segmenter.device.type == "cuda" else _cpu_clock
    for i in tqdm(range(warm_up + frames), desc="bench", unit="frame", leave=False):
        rgb, depth = _images(rng, height, width)
        mark, elapsed = clock()
        mark()
        with torch.inference_mode():
            given = segmenter.frames(
                rgb if "rgb" in modalities else None, depth if "depth" in modalities else None
            )
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


def _gpu_clock() -> Clock:
    events: list[torch.cuda.Event] = []

    def mark() -> None:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        events.append(event)

    def elapsed() -> list[float]:
        torch.cuda.synchronize()
        return [start.elapsed_time(end) for start, end in itertools.pairwise(events)]

    return mark, elapsed


def _images(rng: np.random.Generator, height: int, width: int) -> tuple[Any, Any]:
    ramp = np.linspace(0, 1, height)[:, None] + np.linspace(0, 1, width)
    rgb = np.repeat((ramp * 100).astype(np.uint8)[..., None], 3, 2)
    rgb += rng.integers(0, 50, (height, width, 3), np.uint8)
    depth = (800 + 2000 * ramp).astype(np.uint16) + rng.integers(0, 30, (height, width), np.uint16)
    return rgb, depth


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"--size {text!r} is not WIDTHxHEIGHT in pixels, as in 640x480")
    return int(parts[0]), int(parts[1])


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.processor() or platform.machine()}"


def _print(report: dict[str, Any]) -> None:
    width, height = report["size"]
    print(
        f"{report['checkpoint']} on {report['device']}, {report['precision']}, {report['threads']} threads: "
        f"{' + '.join(report['modalities'])} {width}x{height}, {report['frames']} frames"
    )
    print(f"{'stage':12} {'p50 ms':>9} {'p95 ms':>9}")
    for stage, values in report["milliseconds"].items():
        print(f"{stage:12} {values['p50']:9.2f} {values['p95']:9.2f}")
    print(f"{report['masks_per_second']} masks a second (from the median of the total)")
