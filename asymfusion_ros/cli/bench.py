"""`asymfusion bench`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from asymfusion_ros import __version__
from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.benchmark.load import busy
from asymfusion_ros.benchmark.plain import PlainEager
from asymfusion_ros.benchmark.stages import PLAIN, measure, measure_geometry, peak_memory, summary
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.errors import ConfigError, UserError

EXAMPLES = """\
  asymfusion bench
  asymfusion bench --checkpoint model.safetensors --device cuda --size 1280x720 --json bench.json
  asymfusion bench --modalities rgb --threads 1
  asymfusion bench --load 2                        # and beside two processes that want the CPU too
  asymfusion bench --node
  asymfusion bench --node --outputs mask confidence color_mask overlay
  asymfusion bench --points
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand."""
    parser.add_argument(
        "--checkpoint",
        default="default",
        help="a .safetensors, or exported .onnx or .engine file (default: the package's)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--precision", default="auto", help="auto, fp32, fp16 or bf16 (default: %(default)s)")
    parser.add_argument(
        "--backend",
        default="auto",
        help="auto, torch, openvino, tensorrt or onnxruntime (default: %(default)s)",
    )
    parser.add_argument("--size", default="640x480", help="WIDTHxHEIGHT of the images (default: %(default)s)")
    parser.add_argument("--modalities", nargs="+", metavar="NAME", help="(default: all of the checkpoint's)")
    parser.add_argument("--frames", type=int, default=60, help="frames to time (default: %(default)s)")
    parser.add_argument("--warm-up", type=int, default=10, help="frames before those (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads of the backend (default: its choice)")
    parser.add_argument(
        "--load", type=int, metavar="N", help="time it again beside N processes that are always busy"
    )
    parser.add_argument(
        "--no-plain",
        action="store_true",
        help="don't time the plain network beside it (which takes most of the time)",
    )
    parser.add_argument(
        "--node",
        action="store_true",
        help="also time the ROS node on real topics: what it and the transport add to the engine",
    )
    parser.add_argument(
        "--outputs",
        nargs="+",
        metavar="NAME",
        help="with --node: the image topics to subscribe to (default: mask)",
    )
    parser.add_argument(
        "--points",
        action="store_true",
        help="also time what unregistered depth and ~/points cost besides",
    )
    parser.add_argument("--json", type=Path, help="also write the numbers here")


def run(args: argparse.Namespace) -> int:
    """Times and prints; the exit code."""
    width, height = size_of(args.size)
    if args.frames < 1 or args.warm_up < 0:
        raise UserError(f"--frames {args.frames} must be 1 or more, --warm-up {args.warm_up} 0 or more")
    if args.node and args.modalities is not None:
        given = " ".join(args.modalities)
        raise UserError(f"--node sends every modality, not just {given}: leave out --modalities")
    if args.load is not None and args.load < 1:
        raise UserError(f"--load {args.load} must be 1 or more processes")
    if args.outputs is not None and not args.node:
        raise UserError("--outputs goes with --node")
    if args.threads is not None and args.threads < 1:
        raise UserError(f"--threads {args.threads} must be 1 or more")

    def stages() -> tuple[Segmenter, list[str], list[dict[str, list[float]]]]:
        segmenter = Segmenter.from_checkpoint(
            args.checkpoint, args.device, args.precision, args.backend, threads=args.threads or 0
        )
        names = args.modalities or list(segmenter.modalities)
        unknown = [name for name in names if name not in segmenter.modalities]
        if unknown:
            known = ", ".join(segmenter.modalities)
            raise UserError(f"--modalities {' '.join(unknown)}: the checkpoint has {known}")
        plain = None if args.no_plain else PlainEager(segmenter)
        options = segmenter, plain, height, width, names, args.frames, args.warm_up
        times = [measure(*options)]
        if args.load:
            with busy(args.load):
                times.append(measure(*options))
        return segmenter, names, times

    # In a thread that ends, as the node runs it: see SegmentationNode.
    with ThreadPoolExecutor(1) as thread:
        segmenter, names, (times, *loaded) = thread.submit(stages).result()
        if args.points:
            options = segmenter.device, height, width, args.frames, args.warm_up
            geometry = thread.submit(measure_geometry, *options).result()
    report: dict[str, Any] = {
        "checkpoint": args.checkpoint,
        "size": [width, height],
        "modalities": names,
        "device": _device_name(segmenter.device),
        "backend": segmenter.backend.name,
        "precision": segmenter.backend.precision,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "version": __version__,
        "frames": args.frames,
        **_figures(times),
        "peak_memory": peak_memory(segmenter.device),
    }
    if loaded:
        report["loaded"] = {"processes": args.load, **_figures(loaded[0])}
    if args.points:
        report["geometry"] = {part: summary(values) for part, values in geometry.items()}
    if args.node:
        report["node"] = _measure_node(args, height, width)
    _print(report)
    if args.json:
        write_whole(args.json, (json.dumps(report, indent=2) + "\n").encode())
    return 0


def _figures(times: dict[str, list[float]]) -> dict[str, Any]:
    found = {stage: summary(values) for stage, values in times.items()}
    plain = found.pop(PLAIN, None)
    figures = {"milliseconds": found, "masks_per_second": round(1000 / found["total"]["p50"], 2)}
    if plain is None:
        return figures
    return {
        **figures,
        "plain_eager": plain,
        "times_plain_eager": round(plain["p50"] / found["total"]["p50"], 2),
    }


def size_of(text: str) -> tuple[int, int]:
    """(width, height) of ``640x480``. Raises UserError."""
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
        f"{report['checkpoint']} on {report['device']}, {report['backend']} {report['precision']}, "
        f"{report['threads']} threads: "
        f"{' + '.join(report['modalities'])} {width}x{height}, {report['frames']} frames"
    )
    columns = ("p50", "p95", "p99", "best")
    print("".join([f"{'stage':12}", *(f" {f'{column} ms':>9}" for column in columns)]))

    def line(name: str, values: dict[str, float], note: str = "") -> None:
        print("".join([f"{name:12}", *(f" {values[column]:9.2f}" for column in columns), note]))

    def compared(figures: dict[str, Any]) -> str:
        said = f"{figures['masks_per_second']} masks a second (from the median of the total)"
        if "plain_eager" in figures:
            plain = figures["plain_eager"]["p50"]
            said += f", {figures['times_plain_eager']} times plain eager fp32 ({plain:.0f} ms)"
        return said

    for stage, values in report["milliseconds"].items():
        line(stage, values)
    for part, values in report.get("geometry", {}).items():
        line(part, values, "  (not in the total)")
    print(compared(report))
    if "loaded" in report:
        loaded = report["loaded"]
        print(f"beside {loaded['processes']} busy processes:")
        for stage in ("network", "total"):
            line(stage, loaded["milliseconds"][stage])
        print(compared(loaded))
    memory = report["peak_memory"]
    print("memory at most: " + ", ".join(f"{memory[name]:.0f} MiB ({name[:-4]})" for name in memory))
    if "node" in report:
        node = report["node"]
        print(
            f"node: {node['loop']['p50']:.2f} ms from publishing a frame to having its "
            f"{', '.join(node['outputs'])} = engine "
            f"{node['engine']['p50']:.2f} + transport {node['transport']['p50']:.2f} + the node's own "
            f"{node['own_ms']:.2f} ({100 * node['own_share']:.1f} % of the engine)"
        )


def _measure_node(args: argparse.Namespace, height: int, width: int) -> dict[str, Any]:
    if importlib.util.find_spec("rclpy") is None:
        raise ConfigError("--node needs ROS 2: source a distribution, or install the extra ros-wheels")
    # A benchmark never joins a robot's network.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")  # its name in Humble
    from asymfusion_ros.ros.bench import IMAGE_OUTPUTS, measure_node

    outputs = args.outputs or ["mask"]
    if unknown := [name for name in outputs if name not in IMAGE_OUTPUTS]:
        raise UserError(f"--outputs {' '.join(unknown)}: the image topics are {', '.join(IMAGE_OUTPUTS)}")
    times = measure_node(
        {
            "checkpoint": args.checkpoint,
            "device": args.device,
            "precision": args.precision,
            "backend": args.backend,
        },
        height,
        width,
        args.frames,
        args.warm_up,
        outputs,
    )
    report: dict[str, Any] = {part: summary(values) for part, values in times.items()}
    parts = zip(times["loop"], times["engine"], times["transport"])
    report["outputs"] = outputs
    report["own_ms"] = summary([loop - engine - way for loop, engine, way in parts])["p50"]
    report["own_share"] = round(report["own_ms"] / report["engine"]["p50"], 4)
    return report
