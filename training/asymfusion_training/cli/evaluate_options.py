"""The options of `asymfusion evaluate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from asymfusion_ros.engine.precision import PRECISIONS
from asymfusion_ros.settings import declared
from asymfusion_training.cli.evaluate_translation import add_image_options
from asymfusion_training.evaluation.scoring_settings import ScoringSettings

EXAMPLES = """\
  asymfusion evaluate default --data data/nyudv2 --split val
  asymfusion evaluate runs/mine/best.safetensors --data my_frames --modalities rgb --per-class
  asymfusion evaluate default --data data/nyudv2 --scales 0.75 1.0 1.25 --flip
  asymfusion evaluate default --data data/nyudv2 --depth-holes 0.3 --seed 1
  asymfusion evaluate default --data data/nyudv2 --json scores.json --confusion confusion.png \\
      --save-masks masks
  asymfusion evaluate runs/rgbd/best.safetensors --data data/nyudv2 --bootstrap \\
      --against runs/rgb/best.safetensors
  asymfusion evaluate default --data data/nyudv2 --reliability reliability.png
  asymfusion evaluate default --data data/nyudv2 --calibrate calibrated.safetensors
  asymfusion evaluate default --data data/nyudv2 --check-precisions checked.safetensors
  asymfusion evaluate runs/night/best.safetensors --data data/taskonomy --results night --bootstrap
  asymfusion evaluate default --data data/nyudv2 --processes 4
  torchrun --nproc-per-node 4 --no-python asymfusion evaluate default --data data/nyudv2
"""


HELP = {one.name: one.help for one in declared(ScoringSettings)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion evaluate --help``."""
    add = parser.add_argument
    add("checkpoint", help="a .safetensors file, or 'default' for the one in the package")
    add("--data", type=Path, required=True, help="a folder in the folder format")
    add("--split", default="val", help="the frames to score (default: %(default)s)")
    add("--limit", type=int, metavar="N", help="score only the split's first N frames")

    group = parser.add_argument_group("what the network is given")
    add_views(group)
    add = group.add_argument
    add(
        "--modalities",
        nargs="+",
        metavar="NAME",
        help="only these, e.g. rgb; the others need no files (default: all)",
    )
    add(
        "--depth-holes",
        type=float,
        default=0.0,
        metavar="SHARE",
        help=f"{HELP['depth_holes']} (default: none)",
    )
    add = parser.add_argument_group("comparisons").add_argument
    add(
        "--bootstrap",
        action="store_true",
        help="an interval for how far the ensemble is ahead of each modality: a paired bootstrap over frames",
    )
    add(
        "--against",
        metavar="CHECKPOINT",
        help="score this one on the same frames, and give an interval for the difference; one with fewer "
        "modalities gets those that it has",
    )
    add("--seed", type=int, default=0, help=f"{HELP['seed']} (default: %(default)s)")

    add = parser.add_argument_group(
        "confidence",
        "Scores come with the calibration error and the area under the risk-coverage curve of the ensemble's "
        "confidence, as the robot gets it: not with --scales or --flip.",
    ).add_argument
    add(
        "--reliability",
        type=Path,
        metavar="PNG",
        help="draw the reliability diagram and the risk-coverage curve",
    )
    add(
        "--calibrate",
        type=Path,
        metavar="OUT",
        help="fit a temperature to these frames for every set of modalities, measure how far modalities "
        "disagree on them, and write the checkpoint with both to OUT, a .safetensors file",
    )
    add(
        "--check-precisions",
        type=Path,
        metavar="OUT",
        help="compare fp16 and bf16 with fp32 on these frames (on any CPU, by rounding), and write the "
        "checkpoint with the result to OUT: where it passes, precision auto takes them on hardware that "
        "computes in them",
    )

    add = parser.add_argument_group("output").add_argument
    add("--per-class", action="store_true", help="print the IoU of each class too")
    add("--json", type=Path, metavar="FILE", help="write the scores to FILE, as fractions")
    add("--confusion", type=Path, metavar="PNG", help="draw the ensemble's confusion matrix")
    add(
        "--save-masks",
        type=Path,
        metavar="DIR",
        help="the ensemble's labels as DIR/NAME.png, coloured in DIR/colour",
    )
    add(
        "--boundary-ratio",
        type=float,
        default=0.02,
        metavar="SHARE",
        help=f"{HELP['boundary_ratio']} (default: %(default)s)",
    )

    add_image_options(parser.add_argument_group("image translation"))

    add = parser.add_argument_group("where it runs").add_argument
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="fp32",
        help="number format of the network, as the engine has it (default: %(default)s)",
    )
    add(
        "--processes",
        type=int,
        default=1,
        metavar="N",
        help="split the frames over N processes, each with a GPU of its own or its share of the cores",
    )


def add_views(group: argparse._ArgumentGroup) -> None:
    """How often a frame is looked at: the paper averages over several scales."""
    group.add_argument(
        "--scales",
        type=float,
        nargs="+",
        default=[1.0],
        metavar="S",
        help=f"{HELP['scales']} (default: 1.0)",
    )
    group.add_argument("--flip", action="store_true", help=HELP["flip"])
