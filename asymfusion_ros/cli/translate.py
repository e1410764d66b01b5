"""`asymfusion translate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import asymfusion_ros.ros  # noqa: F401  (how long threads spin, which torch reads when it is loaded)
from asymfusion_ros.cli.reading import add_reading, read_options
from asymfusion_ros.engine.translator import Translator
from asymfusion_ros.errors import ConfigError
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
    group = parser.add_argument_group("the network")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    group.add_argument("--precision", default="auto", help="auto, fp32, fp16 or bf16 (default: %(default)s)")
    group.add_argument(
        "--backend", default="auto", help="auto, torch, openvino or onnxruntime (default: %(default)s)"
    )
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
    unknown = [name for name in job.read.topics if name not in translator.modalities]
    if unknown:
        raise ConfigError(
            f"a topic of {unknown[0]} is given, but the checkpoint takes {', '.join(translator.modalities)}"
        )
    print(translate(translator, job, _say, progress=sys.stderr.isatty()))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
