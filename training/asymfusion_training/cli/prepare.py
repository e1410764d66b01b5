"""`asymfusion prepare`: a subcommand for each data set of prepare/registry.py; `check`, `folds` for any
folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.prepare.check import check_folder
from asymfusion_training.prepare.check_report import report_dict, report_text
from asymfusion_training.prepare.folds import make_folds
from asymfusion_training.prepare.parallel import DEFAULT_WORKERS
from asymfusion_training.prepare.registry import DATA_SETS

CHECK = """\
  asymfusion prepare check my_frames
  asymfusion prepare check data/nyudv2 --splits train val --json check.json
"""
FOLDS = """\
  asymfusion prepare folds data/nyudv2 --folds 5
"""
EXAMPLES = "".join(data_set.examples for data_set in DATA_SETS) + CHECK + FOLDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion prepare --help``."""
    parser.epilog = f"{parser.epilog or ''}\n`asymfusion prepare WHAT --help` shows the options of one."
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    subs = []
    for data_set in DATA_SETS:
        sub = _subcommand(commands, data_set.name, data_set.summary, data_set.description, data_set.examples)
        data_set.add_arguments(sub)
        sub.add_argument("--output", type=Path, metavar="DIR", required=True, help="the folder to make")
        sub.set_defaults(prepare=data_set.prepare)
        subs.append(sub)

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
    check.set_defaults(prepare=None)

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

    for sub in (*subs, check):
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
    if args.prepare is None:
        _check(args)
    else:
        print(args.prepare(args))
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
