"""``asymfusion demo``: a recording travels over real ROS 2 topics through the node, and masks come back.

Three processes take part: the player publishes, the node segments, and this one collects what both
publish, times it and draws the pictures once the stream has ended.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
import time
from pathlib import Path

from tqdm import tqdm

from asymfusion_ros import __version__
from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.demo.environment import demo_environment
from asymfusion_ros.demo.gallery import write_pictures
from asymfusion_ros.demo.summary import Summary
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.packaged import DEFAULT, checkpoint_file
from asymfusion_ros.recordings.recording import Recording
from asymfusion_ros.recordings.sources import add_arguments as add_source_arguments
from asymfusion_ros.recordings.sources import open_recording, positive, source_arguments

# The files of a run. The pictures' numbers have two digits, or three after a jump of the stamps.
OWN_FILES = (
    *("second_[0-9][0-9].png", "second_[0-9][0-9][0-9].png", "contact_sheet.png", "animation.webp"),
    *("summary.json", "node.log", "player.log"),
)

EXAMPLES = """\
  asymfusion demo
  asymfusion demo --recording kitchen.bag --slop 0.05
  asymfusion demo --recording rosbag2_2025_01_01/ --rgb-topic /camera/color/image_raw --seconds 20
  asymfusion demo --folder my_frames --split val --rate 10 --checkpoint mine.safetensors --output pictures"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand."""
    add_source_arguments(parser)
    node = parser.add_argument_group("the node (its own defaults where left out)")
    node.add_argument("--checkpoint", default="default", metavar="FILE", help="a .safetensors checkpoint")
    node.add_argument("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1")
    node.add_argument("--slop", type=float, metavar="S", help="largest distance of paired stamps in seconds")
    node.add_argument(
        "--missing-after", type=float, metavar="S", help="go on without a silent camera after this"
    )
    parser.add_argument(
        "--patience",
        type=positive,
        default=20.0,
        metavar="S",
        help="give up when the last image was this long ago and no mask has come (default: 20)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where the pictures go (default: demo/output in a checkout, else asymfusion_demo here)",
    )


def run(args: argparse.Namespace) -> int:
    """Plays, collects, draws; the exit code."""
    progress = Progress()
    recording = open_recording(args)
    frames = " and ".join(f"{count} {name}" for name, count in recording.images.items()) + " images"
    progress.log(f"recording: {recording.title}")
    progress.log(f"           {frames}, {recording.seconds:.1f} s")
    checkpoint = load_checkpoint(args.checkpoint)
    progress.log(
        f"checkpoint: {args.checkpoint} ({checkpoint.labels.name}, {len(checkpoint.labels)} classes)"
    )
    output = prepare_output(args.output)
    if importlib.util.find_spec("rclpy") is None:
        raise ConfigError(
            "ROS 2 for Python is not there: source /opt/ros/DISTRO/setup.bash, or without a ROS distribution "
            "pip install 'asymfusion_ros[ros-wheels]'"
        )
    # Before rclpy is loaded: this process is one of those that need it.
    os.environ.update(demo_environment(os.environ))
    from asymfusion_ros.demo.streaming import play_through_node

    collected = play_through_node(
        node_command(args), source_arguments(args), recording, output, args.patience, progress.log
    )
    progress.log("drawing the pictures")
    summary = collected.statistics.summary(collected.counters)
    files = write_pictures(collected, checkpoint.labels, summary, output)
    _write_summary(output / "summary.json", args, recording, summary, files)
    print("\n" + "\n".join(summary.lines()))
    for what, path in files.items():
        print(f"  {what:<18}{path}")
    print(f"  {'summary':<18}{output / 'summary.json'}")
    return 0


class Progress:
    """Prints what happens, with the seconds since the beginning."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def log(self, text: str) -> None:
        """One line."""
        # tqdm.write keeps the progress bar, where there is one, in its own line.
        tqdm.write(f"[{time.monotonic() - self._begin:5.1f} s] {text}", file=sys.stdout)
        sys.stdout.flush()


def prepare_output(folder: Path | None) -> Path:
    """The folder for the pictures, made, and emptied of an earlier run's files and no others."""
    if folder is None:
        in_checkout = Path("asymfusion_ros/demo").is_dir() and Path("package.xml").is_file()
        folder = Path("demo/output") if in_checkout else Path("asymfusion_demo")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in [path for pattern in OWN_FILES for path in folder.glob(pattern)]:
            path.unlink()
    except OSError as error:
        raise ConfigError(f"--output {folder} cannot be used: {error.strerror or error}") from error
    return folder


def node_command(args: argparse.Namespace) -> list[str]:
    """The node with the parameters that were given; the others keep the node's own defaults."""
    parameters = {"device": args.device, "slop": args.slop, "missing_after": args.missing_after}
    if args.checkpoint != DEFAULT:
        parameters["checkpoint"] = str(checkpoint_file(args.checkpoint).resolve())
    command = [sys.executable, "-m", "asymfusion_ros.ros.main", "--ros-args"]
    for name, value in parameters.items():
        if value is not None:
            command += ["-p", f"{name}:={value}"]
    return command


def _write_summary(
    path: Path, args: argparse.Namespace, recording: Recording, summary: Summary, files: dict[str, str]
) -> None:
    values = {
        "recording": recording.title,
        "seconds": recording.seconds,
        "checkpoint": str(args.checkpoint),
        "device": args.device or "auto",
        **summary.to_dict(),
        "files": files,
        "asymfusion_ros": __version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
    }
    write_whole(path, (json.dumps(values, indent=2) + "\n").encode())
