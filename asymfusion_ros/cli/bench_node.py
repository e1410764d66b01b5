"""What `asymfusion bench --node` adds."""

from __future__ import annotations

import argparse
import importlib.util
import os
from functools import partial
from typing import Any

from asymfusion_ros.benchmark.figures import summary
from asymfusion_ros.benchmark.load import busy
from asymfusion_ros.demo.environment import demo_environment
from asymfusion_ros.errors import ConfigError, UserError


def measured_node(args: argparse.Namespace, height: int, width: int) -> dict[str, Any]:
    """The report's ``node``. Raises UserError."""
    if importlib.util.find_spec("rclpy") is None:
        raise ConfigError("--node needs ROS 2: source a distribution, or install the extra ros-wheels")
    # A benchmark never joins a robot's network, and its images pass whole.
    os.environ.update(demo_environment(os.environ))
    from asymfusion_ros.ros.bench import IMAGE_OUTPUTS, measure_node
    from asymfusion_ros.ros.bench_stream import measure_stream

    outputs = args.outputs or ["mask"]
    if unknown := [name for name in outputs if name not in IMAGE_OUTPUTS]:
        raise UserError(f"--outputs {' '.join(unknown)}: the image topics are {', '.join(IMAGE_OUTPUTS)}")
    parameters = {name: getattr(args, name) for name in ("checkpoint", "device", "precision", "backend")}
    parameters |= {
        "threads": args.threads or 0,
        "tuning": "none",
    }  # as the engine was timed
    times = measure_node(parameters, height, width, args.frames, args.warm_up, outputs)
    report: dict[str, Any] = {part: summary(values) for part, values in times.items()}
    parts = zip(times["loop"], times["engine"], times["transport"])
    report["outputs"] = outputs
    report["own_ms"] = summary([loop - engine - way for loop, engine, way in parts])["p50"]
    report["own_share"] = round(report["own_ms"] / report["engine"]["p50"], 4)
    if args.rate is not None:
        stream = partial(measure_stream, parameters, height, width, args.rate, args.seconds)
        report["stream"] = _stream(args, stream())
        if args.load:
            with busy(args.load):
                report["stream_loaded"] = {"processes": args.load, **_stream(args, stream())}
    return report


def _stream(args: argparse.Namespace, found: dict[str, Any]) -> dict[str, Any]:
    if not found["milliseconds"]:
        raise UserError("no mask came of the frames that were sent: see the node's log above")
    return {
        "rate": args.rate,
        "seconds": args.seconds,
        "sent": found["sent"],
        "masks": found["masks"],
        "masks_per_second": round(found["masks"] / args.seconds, 2),
        "milliseconds": summary(found["milliseconds"]),
    }
