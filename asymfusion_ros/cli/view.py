"""`asymfusion view`."""

from __future__ import annotations

import argparse
import importlib.util
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from asymfusion_ros.cli.reading import (
    SHARED,
    add_labels,
    add_network,
    add_reading,
    number,
    open_segmenter,
    read_options,
    say,
    whole,
)
from asymfusion_ros.engine.exported import load_model
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.view import destinations
from asymfusion_ros.view.destinations import GRPC_PORT, WEB_PORT, Destination
from asymfusion_ros.view.frame_log import Detail, FrameLog
from asymfusion_ros.view.recorded import RecordedFrames, ViewJob
from asymfusion_ros.view.show import ended_alike, new_stream, show, until_stopped

EXAMPLES = """\
  asymfusion view motorcycle
  asymfusion view kitchen.mcap --web
  asymfusion view run.bag --seconds 60 --every 5 --save run.rrd
  asymfusion view run.bag --labels-dir run_labels --save errors.rrd
  asymfusion view data/nyudv2 --split val --rate 1 --web
  asymfusion view run.bag --connect laptop.local
  asymfusion view --live --web
  asymfusion view --live --node /robot/segmentation --seconds 60 --save minute.rrd
"""
MEMORY = re.compile(r"\d+(\.\d+)?(%|[kMGT]i?B)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion view --help``."""
    add = parser.add_argument
    add(
        "recording",
        nargs="?",
        type=Path,
        metavar="BAG",
        help="a bag (ROS 1, or ROS 2 with sqlite3 or mcap storage), a folder with rgb/ and depth/ of PNGs, "
        "or motorcycle, the built-in recording",
    )
    add("--live", action="store_true", help="a running node's topics instead; nothing is segmented here")
    add(
        "--node",
        default="segmentation",
        metavar="NAME",
        help="with --live: whose outputs, and the images of whose cameras (default: %(default)s)",
    )
    group = parser.add_argument_group("where (default: Rerun's viewer, in a window)")
    where = group.add_mutually_exclusive_group()
    where.add_argument("--web", action="store_true", help="in a browser on this machine; Ctrl-C ends it")
    where.add_argument("--save", type=Path, metavar="FILE.rrd", help="into a file: no display is needed")
    where.add_argument(
        "--connect", metavar="HOST[:PORT]", help="in a viewer that runs elsewhere (`rerun`); sends it images"
    )
    group.add_argument(
        "--memory-limit",
        type=_memory,
        default="25%",
        metavar="SIZE",
        help="of the viewer, or with --web of what is kept for browsers that connect later: then the oldest "
        "frames are dropped; as 2GB, or 25%% of the machine's (default: %(default)s)",
    )
    group.add_argument("--web-port", type=_port, default=WEB_PORT, help="of --web (default: %(default)s)")
    group.add_argument(
        "--port", type=_port, default=GRPC_PORT, help="of the data that --web serves (default: %(default)s)"
    )
    group = parser.add_argument_group("what is shown")
    detail = Detail()
    group.add_argument(
        "--every", type=whole, default=1, metavar="N", help="only every N-th frame (default: 1)"
    )
    group.add_argument(
        "--point-step",
        type=number(int, 0, 64, "whole number from 0 to 64"),
        default=detail.point_step,
        metavar="N",
        help="every N-th row and column of the cloud, 0 for none (default: %(default)s)",
    )
    group.add_argument(
        "--jpeg",
        type=number(int, 0, 100, "whole number from 0 to 100"),
        default=detail.jpeg,
        metavar="QUALITY",
        help="of colour images, 0 to keep every pixel as it is (default: %(default)s)",
    )
    add_labels(
        parser,
        "labels, to show beside the masks with what is wrong",
        " (default: those of a folder in the folder format)",
    )
    add_network(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Shows it. Raises UserError."""
    if (args.recording is None) != args.live:
        raise ConfigError("give a recording (a bag, a folder, or motorcycle), or --live for a node's topics")
    with ended_alike():
        return _live(args) if args.live else _recorded(args)


def _recorded(args: argparse.Namespace) -> int:
    read, destination = replace(read_options(args), labels=args.labels), _destination(args)
    segmenter = open_segmenter(args, read.topics)
    detail = Detail(args.jpeg, args.point_step)
    points = detail.point_step > 0
    job = ViewJob(args.recording, read, args.labels_dir, args.split, args.rate, args.every, points)
    frames = RecordedFrames(segmenter, job, say)
    name = frames.source.name
    stream = new_stream(name)
    with destination(stream) as outlet:
        print(outlet.line, flush=True)
        log = FrameLog(stream, segmenter.label_set, frames.modalities, detail)
        count = -(-min(frames.source.images.values()) // args.every)
        bar = tqdm(frames, total=count, desc=name, unit="frame", disable=None, leave=False)
        stopped = show(bar, log, frames.notes, outlet)
        print(f"{name}: {log.frames} frames", flush=True)
        if args.web and not stopped:
            say("Ctrl-C ends it")
            until_stopped()
    if stopped:
        raise KeyboardInterrupt
    return 0


def _live(args: argparse.Namespace) -> int:
    for package in ("rclpy", "sensor_msgs"):
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"--live needs ROS 2, and {package} is not there: source a distribution, or "
                "pip install 'asymfusion_ros[ros-wheels]'"
            )
    from asymfusion_ros.view.live import LiveFrames

    if args.labels is not None or args.labels_dir is not None:
        raise ConfigError("--labels and --labels-dir go with a recording, not with --live")
    read, destination = read_options(args), _destination(args)
    labels = load_model(args.checkpoint).labels
    detail = Detail(args.jpeg, args.point_step)
    settings = {name: getattr(args, name) for name in SHARED}
    points = detail.point_step > 0
    with LiveFrames(args.node, read.topics, settings, labels, points, args.seconds) as frames:
        say(frames.description)
        stream = new_stream(frames.name)
        with destination(stream) as outlet:
            print(outlet.line, flush=True)
            log = FrameLog(stream, labels, frames.modalities, detail)
            show(islice(frames.named(log), 0, None, args.every), log, Notes(), outlet)
            print(f"{frames.name}: {log.frames} frames", flush=True)
    return 0


def _destination(args: argparse.Namespace) -> Destination:
    if args.save is not None:
        return destinations.to_file(args.save, endless=args.live)
    if args.connect is not None:
        return destinations.to_address(args.connect)
    if args.web:
        return destinations.to_browsers(args.memory_limit, args.web_port, args.port)
    return destinations.to_viewer(args.memory_limit)


def _memory(text: str) -> str:
    if not MEMORY.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text} is not a size, as 2GB, 500MB or 25%")
    return text


_port = number(int, 1, 65535, "port from 1 to 65535")
