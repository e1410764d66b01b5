"""What `asymfusion bench --node` adds."""

from __future__ import annotations

import argparse
import importlib.util
import os
from typing import Any

from asymfusion_ros.benchmark.figures import summary
from asymfusion_ros.errors import ConfigError, UserError


def measured_node(args: argparse.Namespace, height: int, width: int) -> dict[str, Any]:
    """The report's ``node``. Raises UserError."""
    if importlib.util.find_spec("rclpy") is None:
        raise ConfigError("--node needs ROS 2: source a distribution, or install the extra ros-wheels")
    # A benchmark never joins a robot's network.
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")  # its name in Humble
    from asymfusion_ros.ros.bench import IMAGE_OUTPUTS, measure_node

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
    return report
