"""The ``asymfusion`` command: a table of subcommands, each in a module of its own.

A subcommand's module has ``EXAMPLES`` (shown under ``--help``), ``add_arguments(parser)`` and
``run(args) -> int``. It is imported only when it is called, so that ``asymfusion --help`` is instant and
a robot needs no training package.
"""

from __future__ import annotations

import argparse
import importlib
import os
import select
import sys

from asymfusion_ros import __version__
from asymfusion_ros.errors import UserError

# name -> (module, what --help says, the extra of setup.py that brings what it needs)
SUBCOMMANDS = {
    "demo": ("asymfusion_ros.cli.demo", "play a recording through the node and picture the masks", "demo"),
    "prepare": (
        "asymfusion_training.cli.prepare",
        "turn NYUDv2, Cityscapes or Taskonomy into a folder of frames, or check a folder",
        "train",
    ),
    "train": (
        "asymfusion_training.cli.train",
        "train a checkpoint from a folder of RGB-D frames",
        "train",
    ),
    "evaluate": (
        "asymfusion_training.cli.evaluate",
        "score a checkpoint on a split of a folder",
        "train",
    ),
    "ablate": (
        "asymfusion_training.cli.ablate",
        "rerun a table of the paper, row by row, beside its numbers",
        "train",
    ),
    "soup": ("asymfusion_training.cli.soup", "average the weights of several checkpoints", "train"),
    "replay": (
        "asymfusion_ros.cli.replay",
        "segment bags without a ROS graph: masks as a bag, plots, scores",
        "replay",
    ),
    "translate": (
        "asymfusion_ros.cli.translate",
        "make colour images of a folder's or a bag's other modalities",
        "replay",
    ),
    "label": (
        "asymfusion_ros.cli.label",
        "pick a recording's frames worth labelling, for CVAT and Label Studio, and take corrections back",
        "label",
    ),
    "view": (
        "asymfusion_ros.cli.view",
        "show a recording or live topics with their masks in Rerun's viewer or a browser",
        "view",
    ),
    "tune": (
        "asymfusion_ros.cli.tune",
        "find the fastest way to run a checkpoint on this machine",
        "demo",
    ),
    "top": ("asymfusion_ros.cli.top", "show how every asymfusion node on the graph is, live", ""),
    "bench": ("asymfusion_ros.cli.bench", "time each stage from camera bytes to labels", ""),
    "export": (
        "asymfusion_ros.cli.export",
        "turn a checkpoint into a file for OpenVINO or ONNX Runtime",
        "export",
    ),
    "info": (
        "asymfusion_ros.cli.info",
        "say what a checkpoint is: parameters, FLOPs, fusion, how far its norms are apart",
        "",
    ),
    "multiscale": (
        "asymfusion_ros.cli.multiscale",
        "let a checkpoint predict each frame at several sizes and mirrored, and average",
        "",
    ),
    "convert": ("asymfusion_ros.cli.convert", "turn a checkpoint of the authors' code into ours", ""),
}


# What these time or run computes as in the node: how its threads wait is set before torch is loaded.
AS_THE_NODE = ("bench", "label", "replay", "translate", "tune", "view")
PIPE_CLOSED = 141  # as a shell says it of a program that SIGPIPE ended


def main(arguments: list[str] | None = None) -> int:
    """Runs one subcommand (of ``sys.argv`` where no arguments are given); returns the exit code."""
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        output = select.poll()
        output.register(sys.stdout.fileno(), 0)
        if not output.poll(0):  # which reports a pipe without a reader
            raise  # another pipe
        # Whoever read the output has had enough, as `| head` has. The interpreter flushes once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _run(arguments: list[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="asymfusion",
        description="RGB-D semantic segmentation for robots, after AsymFusion (ACM Multimedia 2020).",
        epilog="`asymfusion COMMAND --help` shows a command's options and examples.",
    )
    parser.add_argument("--version", action="version", version=f"asymfusion_ros {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    arguments = sys.argv[1:] if arguments is None else arguments
    chosen = next((word for word in arguments if word in SUBCOMMANDS), None)
    run = None
    for name, (module_name, summary, extra) in SUBCOMMANDS.items():
        sub = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name != chosen:
            continue
        try:
            if name in AS_THE_NODE:
                importlib.import_module("asymfusion_ros.ros")
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            hint = f"pip install 'asymfusion_ros[{extra}]'" if extra else f"pip install {error.name}"
            print(f"asymfusion {name}: error: {error.name} is not installed: {hint}", file=sys.stderr)
            return 1
        sub.epilog = "examples:\n" + module.EXAMPLES
        module.add_arguments(sub)
        run = module.run
    args = parser.parse_args(arguments)
    assert run is not None  # parse_args has refused a call without a known command
    try:
        return run(args)
    except UserError as error:
        print(f"asymfusion {args.command}: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"asymfusion {args.command}: stopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
