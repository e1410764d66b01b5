"""`asymfusion translate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import asymfusion_ros.ros  # noqa: F401  (how long threads spin, which torch reads when it is loaded)
from asymfusion_ros.cli.reading import add_backend, add_reading, check_topics, read_options, say
from asymfusion_ros.engine.translator import Translator
from asymfusion_ros.replay.translation import TranslateJob, translate

EXAMPLES = """\
  asymfusion translate night.safetensors data/taskonomy --split val --output translated
  asymfusion translate night.safetensors drive.mcap --topic infrared=/camera/infra1/image_rect_raw \\
      --output drive_in_colour --png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion translate --help``."""
    add = parser.add_argument
    add("checkpoint", metavar="CHECKPOINT", help="of image translation: a .safetensors or exported file")
    add(
        "recording",
        type=Path,
        metavar="FOLDER|BAG",
        help="a folder with one for each modality (depth/, shade/, ...) of PNGs, or a bag (ROS 1 or 2)",
    )
    add(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="where images go: DIR/rgb/NAME.png of a folder, DIR/bag of a bag. Given again, it goes on",
    )
    add("--each", action="store_true", help="also what every modality alone makes: DIR/rgb_from_depth/...")
    add("--png", action="store_true", help="PNGs of a bag too, called by their stamps")
    add_backend(parser.add_argument_group("the network"))
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Translates, and says where the images are. Raises UserError."""
    job = TranslateJob(
        args.recording,
        args.output,
        read_options(args),
        args.checkpoint,
        args.each,
        args.png,
        args.split,
        args.rate,
    )
    translator = Translator.from_checkpoint(args.checkpoint, args.device, args.precision, args.backend)
    check_topics(job.read.topics, translator.modalities)
    print(translate(translator, job, say, progress=sys.stderr.isatty()))
    return 0
