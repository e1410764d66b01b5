"""The options of `asymfusion train` and `ablate` that say where and how a run is made, not what it is."""

from __future__ import annotations

import argparse

from asymfusion_ros.errors import ConfigError
from asymfusion_training.loop.trainer import RunOptions


def add_run_options(group: argparse._ActionsContainer) -> None:
    """Adds them to a parser or a group of it."""
    add = group.add_argument
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add("--devices", type=int, default=1, metavar="N", help="GPUs of this machine to use (default: 1)")
    add("--workers", type=int, default=1, help="processes that read frames (default: %(default)s)")
    add(
        "--hold-frames",
        action="store_true",
        help="decode all frames once and keep them on the device (2.4 MB each at 640x480): no reading "
        "processes; the recipe's depth_noise and depth_holes must be 0",
    )
    add(
        "--save-every",
        type=float,
        default=120,
        metavar="SECONDS",
        help="how often the state to go on from is written, besides after each scoring (default: 120)",
    )


def run_options(args: argparse.Namespace) -> RunOptions:
    """Raises ConfigError for one that cannot be."""
    if args.workers < 0:
        raise ConfigError(f"--workers is {args.workers}; it must be 0 (read in this process) or more")
    return RunOptions(args.workers, args.save_every, args.hold_frames)
