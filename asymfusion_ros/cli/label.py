"""`asymfusion label`."""

from __future__ import annotations

import argparse
from pathlib import Path

from asymfusion_ros.cli.reading import (
    add_network,
    add_reading,
    open_segmenter,
    read_options,
    say,
    share,
    whole,
)
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.labelling.corrections import summary, take_corrections
from asymfusion_ros.labelling.labelling import FORMATS, LabelJob, Labelling, check_output, recording_names

EXAMPLES = """\
  asymfusion label motorcycle --output motorcycle_frames
  asymfusion label kitchen.mcap --output kitchen
  asymfusion label monday.bag tuesday.bag --count 100 --every 5 --checkpoint mine.safetensors --output week
  asymfusion label run.bag --min-confidence 0.7 --format cvat --output run_frames
  asymfusion label --corrections project.zip --into kitchen
  asymfusion label --corrections project.json --into kitchen
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion label --help``."""
    defaults = LabelJob([], Path())
    parser.add_argument(
        "recordings",
        nargs="*",
        type=Path,
        metavar="BAG",
        help="a bag (ROS 1, or ROS 2 with sqlite3 or mcap storage), a folder with rgb/ and depth/ of PNGs, "
        "or motorcycle, the built-in recording",
    )
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="the folder to make")
    group = parser.add_argument_group("the way back")
    group.add_argument(
        "--corrections",
        type=Path,
        metavar="FILE",
        help="what the tool exported: CVAT's zip (\"Segmentation mask 1.1\") or Label Studio's JSON",
    )
    group.add_argument("--into", type=Path, metavar="FOLDER", help="the folder whose labels it replaces")
    group = parser.add_argument_group("which frames")
    group.add_argument(
        "--count",
        type=whole,
        default=defaults.count,
        metavar="N",
        help="at most, of all recordings together (default: %(default)s)",
    )
    group.add_argument(
        "--every",
        type=whole,
        default=defaults.every,
        metavar="N",
        help="look at every N-th frame only (default: %(default)s)",
    )
    group.add_argument(
        "--min-distance",
        type=share,
        default=defaults.min_distance,
        metavar="D",
        help="how different any two must look, 0 to 1 (default: %(default)s)",
    )
    group.add_argument(
        "--scene-change",
        type=share,
        default=defaults.scene_change,
        metavar="D",
        help="how different from the scene's first frame another scene looks (default: %(default)s)",
    )
    group = parser.add_argument_group("what is written")
    group.add_argument(
        "--min-confidence",
        type=share,
        default=defaults.min_confidence,
        metavar="C",
        help="below it a pixel is left unlabelled, 0 to 1 (default: %(default)s)",
    )
    group.add_argument(
        "--val-share",
        type=share,
        default=defaults.val_share,
        metavar="S",
        help="of each recording's frames, the last ones, for val (default: %(default)s)",
    )
    group.add_argument(
        "--format",
        nargs="+",
        choices=FORMATS,
        default=list(FORMATS),
        help="the tools to write import files for (default: both)",
    )
    group.add_argument(
        "--image-url",
        metavar="URL",
        help="what comes before an image's name in Label Studio's tasks (default: that of its local files, "
        "below the folder that holds --output)",
    )
    add_network(parser)
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Makes the folder, or takes corrections over. Raises UserError."""
    if args.corrections is not None:
        if args.into is None or args.recordings or args.output is not None:
            raise ConfigError("--corrections FILE goes with --into FOLDER alone: no recording, no --output")
        print(summary(args.corrections, args.into, take_corrections(args.corrections, args.into)))
        return 0
    if not args.recordings or args.output is None or args.into is not None:
        raise ConfigError("give recordings and --output FOLDER, or --corrections FILE and --into FOLDER")
    job = LabelJob(
        args.recordings,
        args.output,
        read_options(args),
        args.checkpoint,
        args.count,
        args.every,
        args.min_distance,
        args.scene_change,
        args.min_confidence,
        args.val_share,
        args.format,
        args.image_url,
        args.split,
        args.rate,
    )
    check_output(job)
    recording_names(job.paths)
    segmenter = open_segmenter(args, job.read.topics)
    print(Labelling(segmenter, job, say, progress=True).run())
    return 0
