"""Which recording the command line asks for: the same options for the demo and for the player."""

from __future__ import annotations

import argparse
from pathlib import Path

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.recordings.recording import Recording

BUILT_IN_RATE = 15.0  # Hz; half a camera's usual rate, so that two CPU cores keep up with most of it
BUILT_IN_SECONDS = 10.0
FOLDER_RATE = 5.0  # a folder's frames have little to do with each other: slow enough to segment each


def positive(text: str) -> float:
    """An argparse type: a finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options that name a recording."""
    group = parser.add_argument_group("what to play (default: a built-in scene, which needs no download)")
    source = group.add_mutually_exclusive_group()
    source.add_argument(
        "--recording", type=Path, metavar="BAG", help="a bag: ROS 1, or ROS 2 with sqlite3 or mcap storage"
    )
    source.add_argument("--folder", type=Path, metavar="DIR", help="a data set in the folder format")
    group.add_argument(
        "--rgb-topic", metavar="NAME", help="the bag's colour images (default: found by encoding)"
    )
    group.add_argument(
        "--depth-topic", metavar="NAME", help="the bag's depth images (default: found by encoding)"
    )
    group.add_argument("--split", metavar="NAME", help="the folder's split (default: val, or the first)")
    group.add_argument(
        "--rate",
        type=positive,
        metavar="HZ",
        help=f"frames a second (default: {BUILT_IN_RATE:g}, of a folder {FOLDER_RATE:g}; a bag has its own)",
    )
    group.add_argument(
        "--seconds",
        type=positive,
        metavar="S",
        help=f"play no longer than this (default: {BUILT_IN_SECONDS:g}, of a bag or folder all of it)",
    )


def open_recording(args: argparse.Namespace) -> Recording:
    """The recording that the options of ``add_arguments`` describe. Raises UserError."""
    source = "--recording" if args.recording else "--folder" if args.folder else "the built-in scene"
    belongs = {
        "--rgb-topic": (args.rgb_topic, ["--recording"]),
        "--depth-topic": (args.depth_topic, ["--recording"]),
        "--split": (args.split, ["--folder"]),
        "--rate": (args.rate, ["--folder", "the built-in scene"]),
    }
    for option, (value, sources) in belongs.items():
        if value is not None and source not in sources:
            raise ConfigError(
                f"{option} {value} goes with {' or '.join(sources)}, not with {source}: leave it out"
            )
    try:
        return _open(args)
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed: pip install 'asymfusion_ros[demo]'") from error


def source_arguments(args: argparse.Namespace) -> list[str]:
    """The options of ``add_arguments`` again, for the process that plays."""
    options = ("recording", "folder", "rgb_topic", "depth_topic", "split", "rate", "seconds")
    words = []
    for option in options:
        value = getattr(args, option)
        if value is not None:
            words += [f"--{option.replace('_', '-')}={value}"]
    return words


def _open(args: argparse.Namespace) -> Recording:
    # Each source brings a library of its own; the others' need not be installed.
    if args.recording:
        from asymfusion_ros.recordings.bag import BagRecording

        return BagRecording(args.recording, args.rgb_topic, args.depth_topic, args.seconds)
    if args.folder:
        from asymfusion_ros.recordings.folder import FolderRecording

        return FolderRecording(args.folder, args.rate or FOLDER_RATE, args.split, args.seconds)
    from asymfusion_ros.recordings.motorcycle import MotorcycleRecording

    return MotorcycleRecording(args.rate or BUILT_IN_RATE, args.seconds or BUILT_IN_SECONDS)
