"""`asymfusion bench`."""

from __future__ import annotations

import argparse
import json
import platform
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from asymfusion_ros import __version__
from asymfusion_ros.atomic_write import check_place, write_whole
from asymfusion_ros.benchmark.figures import peak_memory, summary
from asymfusion_ros.benchmark.load import busy
from asymfusion_ros.benchmark.profile import check_profile
from asymfusion_ros.benchmark.run import Plan, measured
from asymfusion_ros.benchmark.stages import measure_geometry
from asymfusion_ros.benchmark.text import lines
from asymfusion_ros.checkpoint.description import available_sets
from asymfusion_ros.cli.bench_node import measured_node
from asymfusion_ros.data.size_text import size_of
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.errors import UserError

EXAMPLES = """\
  asymfusion bench
  asymfusion bench --checkpoint model.safetensors --device cuda --size 1280x720 --json bench.json
  asymfusion bench --modalities rgb --threads 1
  asymfusion bench --load 2 --plot bench.png       # and beside two processes that want the CPU too
  asymfusion bench --sizes 320x240 480x360 640x480 --modality-sets --cameras 1 2 4 8 --streams 1 2
  asymfusion bench --node
  asymfusion bench --node --rate 30 --load 2       # masks a second of a camera's 30, also beside others
  asymfusion bench --node --outputs mask confidence color_mask overlay
  asymfusion bench --points
  asymfusion bench --checkpoint model.onnx --profile
"""
MOST_AT_ONCE = 8  # cameras or streams


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand."""
    parser.add_argument(
        "--checkpoint",
        default="default",
        help="a .safetensors, or exported .onnx or .engine file (default: the package's)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--precision", default="auto", help="auto, fp32, fp16, bf16 or int8 (default: %(default)s)"
    )
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
        "--rate",
        type=float,
        metavar="HZ",
        help="with --node: also what it keeps up with of a camera of so many frames a second",
    )
    parser.add_argument(
        "--seconds", type=float, default=20.0, help="with --rate: for so long (default: %(default)s)"
    )
    parser.add_argument(
        "--points",
        action="store_true",
        help="also time what unregistered depth and ~/points cost besides",
    )
    parser.add_argument(
        "--sizes",
        nargs="+",
        metavar="WxH",
        help="how the cost grows with the network's input: these, on torch, of a checkpoint (not an exported "
        "file)",
    )
    parser.add_argument(
        "--modality-sets", action="store_true", help="each set of the checkpoint's modalities alone as well"
    )
    parser.add_argument(
        "--cameras",
        type=int,
        nargs="+",
        metavar="N",
        help="frames of N cameras segmented in one call, 1 to 8",
    )
    parser.add_argument(
        "--streams",
        type=int,
        nargs="+",
        metavar="N",
        help="N segmenters at once, each in a thread, 1 to 8",
    )
    parser.add_argument(
        "--profile", action="store_true", help="which kinds of operations the network's time goes to"
    )
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw them too (needs matplotlib)")


def run(args: argparse.Namespace) -> int:
    """Times and prints; the exit code. Raises UserError."""
    width, height = _check(args)
    make = partial(
        Segmenter.from_checkpoint,
        args.checkpoint,
        args.device,
        args.precision,
        args.backend,
        threads=args.threads or 0,
    )

    def engine() -> tuple[Segmenter, Plan, dict[str, Any]]:
        segmenter = make()
        plan = _plan(args, segmenter, height, width)
        figures = measured(segmenter, make, plan)
        if args.load:
            with busy(args.load):
                loaded = measured(segmenter, make, replace(plan, profile=False))
                figures["loaded"] = {"processes": args.load, **loaded}
        return segmenter, plan, figures

    # In a thread that ends, as the node runs it: see SegmentationNode.
    with ThreadPoolExecutor(1) as thread:
        segmenter, plan, figures = thread.submit(engine).result()
        if args.points:
            options = segmenter.device, height, width, args.frames, args.warm_up
            geometry = thread.submit(measure_geometry, *options).result()
    report: dict[str, Any] = {
        "checkpoint": args.checkpoint,
        "size": [width, height],
        "modalities": list(plan.modalities),
        "device": _device_name(segmenter.device),
        "backend": segmenter.backend.name,
        "precision": segmenter.backend.precision,
        "precision_reason": segmenter.backend.precision_reason,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "version": __version__,
        "frames": args.frames,
        **figures,
        "peak_memory": peak_memory(segmenter.device),
    }
    if args.points:
        report["geometry"] = {part: summary(values) for part, values in geometry.items()}
    if args.node:
        report["node"] = measured_node(args, height, width)
    for line in lines(report):
        print(line)
    if args.json:
        write_whole(args.json, (json.dumps(report, indent=2) + "\n").encode())
    if args.plot:
        from asymfusion_ros.benchmark.plot import report_picture

        write_whole(args.plot, report_picture(report))
    return 0


def _check(args: argparse.Namespace) -> tuple[int, int]:
    """(width, height) of the images. Raises UserError for options that cannot be."""
    size = size_of(args.size)
    if args.frames < 1 or args.warm_up < 0:
        raise UserError(f"--frames {args.frames} must be 1 or more, --warm-up {args.warm_up} 0 or more")
    if args.node and args.modalities is not None:
        given = " ".join(args.modalities)
        raise UserError(f"--node sends every modality, not just {given}: leave out --modalities")
    if args.load is not None and args.load < 1:
        raise UserError(f"--load {args.load} must be 1 or more processes")
    if not args.node and (args.outputs is not None or args.rate is not None):
        raise UserError(f"{'--rate' if args.outputs is None else '--outputs'} goes with --node")
    if args.rate is not None and not (1 <= args.rate <= 1000 and args.seconds >= 1):
        raise UserError(f"--rate {args.rate} must be 1 to 1000, --seconds {args.seconds} 1 or more")
    if args.threads is not None and args.threads < 1:
        raise UserError(f"--threads {args.threads} must be 1 or more")
    for name in ("cameras", "streams"):
        for count in getattr(args, name) or ():
            if not 1 <= count <= MOST_AT_ONCE:
                raise UserError(f"--{name} {count} must be 1 to {MOST_AT_ONCE}")
    for place in (args.json, args.plot):
        if place is not None:
            check_place(place)
    return size


def _plan(args: argparse.Namespace, segmenter: Segmenter, height: int, width: int) -> Plan:
    names = args.modalities or list(segmenter.modalities)
    if unknown := [name for name in names if name not in segmenter.modalities]:
        known = ", ".join(segmenter.modalities)
        raise UserError(f"--modalities {' '.join(unknown)}: the checkpoint has {known}")
    if args.profile:
        check_profile(segmenter.backend)
    sizes = [size_of(text, "--sizes") for text in args.sizes or ()]
    for input_width, input_height in sizes:  # before minutes of work
        segmenter.at_input_size(input_height, input_width)
    return Plan(
        height,
        width,
        names,
        args.frames,
        args.warm_up,
        plain=not args.no_plain,
        sizes=[(input_height, input_width) for input_width, input_height in sizes],
        modality_sets=available_sets(segmenter.modalities) if args.modality_sets else (),
        cameras=args.cameras or (),
        streams=args.streams or (),
        profile=args.profile,
    )


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU {platform.processor() or platform.machine()}"
