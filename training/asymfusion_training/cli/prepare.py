"""`asymfusion prepare`: a subcommand for each public data set, and `check` and `folds` for any folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.prepare.check import check_folder
from asymfusion_training.prepare.check_report import report_dict, report_text
from asymfusion_training.prepare.cityscapes import prepare_cityscapes
from asymfusion_training.prepare.folds import make_folds
from asymfusion_training.prepare.nyudv2 import prepare_nyudv2
from asymfusion_training.prepare.parallel import DEFAULT_WORKERS

NYUDV2 = """\
  asymfusion prepare nyudv2 --mat nyu_depth_v2_labeled.mat --output data/nyudv2
  asymfusion prepare nyudv2 --mat nyu_depth_v2_labeled.mat --output data/nyudv2_raw --raw-depth
  asymfusion prepare nyudv2 --mat nyu_depth_v2_labeled.mat --splits splits.mat --output data/nyudv2
"""
CITYSCAPES = """\
  asymfusion prepare cityscapes --root cityscapes --output data/cityscapes
  asymfusion prepare cityscapes --root cityscapes --output data/cityscapes_disparity --disparity
"""
CHECK = """\
  asymfusion prepare check my_frames
  asymfusion prepare check data/nyudv2 --splits train val --json check.json
"""
FOLDS = """\
  asymfusion prepare folds data/nyudv2 --folds 5
"""
EXAMPLES = NYUDV2 + CITYSCAPES + CHECK + FOLDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion prepare --help``."""
    parser.epilog = f"{parser.epilog or ''}\n`asymfusion prepare WHAT --help` shows the options of one."
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)

    nyudv2 = _subcommand(
        commands,
        "nyudv2",
        "NYU Depth v2, from nyu_depth_v2_labeled.mat",
        "Splits: train (686) and val (109) share no scene and make up trainval, the standard 795; test is\n"
        "the standard 654. An interrupted call goes on where it stopped when it is given again.",
        NYUDV2,
    )
    nyudv2.add_argument(
        "--mat", type=Path, metavar="FILE", required=True, help="the file that NYU publishes (2.8 GB)"
    )
    nyudv2.add_argument(
        "--splits", type=Path, metavar="FILE", help="NYU's splits.mat (default: the standard split, built in)"
    )
    nyudv2.add_argument(
        "--raw-depth",
        action="store_true",
        help="the camera's depth with its holes, not the in-painted one",
    )

    cityscapes = _subcommand(
        commands,
        "cityscapes",
        "Cityscapes, from its official tree",
        "Needs leftImg8bit, gtFine, disparity and camera (each KIND_trainvaltest.zip) unpacked in one\n"
        "folder. Labels become the 19 train ids, disparity metric depth by each image's camera file; images\n"
        "are hard links. An interrupted call goes on where it stopped when it is given again.",
        CITYSCAPES,
    )
    cityscapes.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        required=True,
        help="the folder that holds leftImg8bit and the others",
    )
    cityscapes.add_argument(
        "--disparity", action="store_true", help="store the disparity, in pixels, in place of depth in metres"
    )
    cityscapes.add_argument(
        "--partial",
        action="store_true",
        help="take a tree of fewer frames than the official 2975, 500 and 1525",
    )
    for made in (nyudv2, cityscapes):
        made.add_argument("--output", type=Path, metavar="DIR", required=True, help="the folder to make")

    check = _subcommand(
        commands,
        "check",
        "look through a folder in the folder format",
        "Reports frames, sizes, class frequencies and depth, and lists every file that is missing,\n"
        "unreadable or does not fit. Exits with 1 where there is one.",
        CHECK,
    )
    check.add_argument("data", type=Path, metavar="DIR", help="a folder in the folder format")
    check.add_argument(
        "--splits", nargs="+", metavar="SPLIT", help="look only at these (default: every *.txt)"
    )
    check.add_argument("--json", type=Path, metavar="FILE", help="write the report to FILE too")
    folds = _subcommand(
        commands,
        "folds",
        "split lists for k-fold cross-validation",
        "Writes foldN_train.txt and foldN_val.txt, over those there may be, from the frames of train and\n"
        "val: each frame is in the val of one fold. Scenes of NYUDv2 stay whole; frames of other data\n"
        "stay with their neighbours in the order of names.",
        FOLDS,
    )
    folds.add_argument("data", type=Path, metavar="DIR", help="a folder in the folder format")
    folds.add_argument("--folds", type=int, default=5, metavar="K", help="how many (default: %(default)s)")
    folds.add_argument(
        "--seed", type=int, default=0, help="of the scenes' distribution (default: %(default)s)"
    )
    for sub in (nyudv2, cityscapes, check):
        sub.add_argument(
            "--workers",
            type=int,
            default=DEFAULT_WORKERS,
            help="threads that read and write images (default: %(default)s)",
        )


def run(args: argparse.Namespace) -> int:
    """Makes, checks or divides a folder. Raises UserError."""
    if args.what == "folds":
        print(make_folds(args.data, args.folds, args.seed))
        return 0
    if args.workers < 1:
        raise ConfigError(f"--workers is {args.workers}; it must be 1 or more")
    if args.what == "nyudv2":
        print(prepare_nyudv2(args.mat, args.output, args.splits, args.raw_depth, args.workers))
    elif args.what == "cityscapes":
        print(prepare_cityscapes(args.root, args.output, args.disparity, args.partial, args.workers))
    else:
        _check(args)
    return 0


def _check(args: argparse.Namespace) -> None:
    report = report_dict(check_folder(args.data, args.splits, args.workers))
    print(report_text(report))
    if args.json is not None:
        write_whole(args.json, (json.dumps(report, indent=2, allow_nan=False) + "\n").encode())
    if report["problems"]:
        raise UserError(f"{args.data} has {len(report['problems'])} problems (listed above)")


def _subcommand(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
    examples: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n\n{description}",
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
