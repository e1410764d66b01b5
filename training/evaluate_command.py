"""`asymfusion evaluate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from asymfusion_ros.checkpoint import Checkpoint, load_checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.evaluate import evaluate

EXAMPLES = """\
  asymfusion evaluate default --data data/nyudv2 --split val
  asymfusion evaluate runs/mine/best.safetensors --data my_frames --modalities rgb --per-class
  asymfusion evaluate default --data data/nyudv2 --json scores.json
"""
SCORES = {"pixel_accuracy": "pixel accuracy", "mean_accuracy": "mean accuracy", "mean_iou": "mean IoU"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a .safetensors file, or 'default' for the one in the package")
    parser.add_argument("--data", type=Path, required=True, help="a folder in the folder format")
    parser.add_argument("--split", default="val", help="the frames to score (default: %(default)s)")
    parser.add_argument(
        "--modalities",
        nargs="+",
        metavar="NAME",
        help="give the network these alone, e.g. rgb (default: all)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="score the split's first N frames alone")
    parser.add_argument("--per-class", action="store_true", help="print the IoU of each class too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores to FILE, as fractions")


def run(args: argparse.Namespace) -> int:
    checkpoint = load_checkpoint(args.checkpoint)
    device = choose_device(args.device)
    folder = Folder(args.data)
    check_labels(checkpoint, folder)
    modalities = _present(args.modalities, checkpoint.config.modalities)
    names = folder.names(args.split)
    if args.limit is not None:
        if args.limit < 1:
            raise ConfigError(f"--limit is {args.limit}; it must be 1 or more")
        names = names[: args.limit]
    network = checkpoint.build().to(device)
    matrices = evaluate(network, checkpoint.input_spec, folder, names, modalities)
    report = {
        "checkpoint": str(args.checkpoint),
        "data": folder.name,
        "split": args.split,
        "frames": len(names),
        "branches": {branch: branch_scores(matrix, folder) for branch, matrix in matrices.items()},
    }
    print(f"{folder.name} {args.split}: {len(names)} frames, checkpoint {args.checkpoint}")
    print(_score_table(report["branches"]))
    if args.per_class:
        print("\n" + _class_table(report["branches"], folder.labels.names))
    if args.json is not None:
        try:
            args.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
        except OSError as error:
            raise UserError(f"cannot write {args.json}: {error.strerror}") from error
    return 0


def check_labels(checkpoint: Checkpoint, folder: Folder) -> None:
    """Raises UserError where an index means another class to the checkpoint than to the folder."""
    ours, theirs = checkpoint.labels.names, folder.labels.names
    if len(ours) != len(theirs):
        raise UserError(
            f"the checkpoint has {len(ours)} classes ({checkpoint.labels.name}), but {folder.root} has "
            f"{len(theirs)} ({folder.labels.name}): score it on data with its own classes"
        )
    for index, (one, other) in enumerate(zip(ours, theirs)):
        if one != other:
            raise UserError(
                f"class {index} is {one!r} in the checkpoint, but {other!r} in {folder.root}: "
                "score it on data with its own classes"
            )


def branch_scores(matrix: ConfusionMatrix, folder: Folder) -> dict[str, Any]:
    """A branch's scores, and each class's IoU: None for one in neither labels nor predictions."""
    ious = matrix.iou().tolist()
    class_iou = {name: iou if iou == iou else None for name, iou in zip(folder.labels.names, ious)}
    return {**matrix.scores(), "class_iou": class_iou}


def _present(chosen: list[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The modalities to give, in the network's order."""
    if chosen is None:
        return known
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ConfigError(f"--modalities: {unknown[0]!r} is not one of the checkpoint's {', '.join(known)}")
    return tuple(name for name in known if name in chosen)


def _score_table(branches: dict[str, Any]) -> str:
    lines = ["in %".ljust(12) + "".join(title.rjust(16) for title in SCORES.values())]
    for branch, scores in branches.items():
        lines.append(branch.ljust(12) + "".join(f"{100 * scores[key]:16.2f}" for key in SCORES))
    return "\n".join(lines)


def _class_table(branches: dict[str, Any], names: tuple[str, ...]) -> str:
    column = max(len("IoU in %"), *(len(name) for name in names)) + 2
    lines = ["IoU in %".ljust(column) + "".join(branch.rjust(10) for branch in branches)]
    for name in names:
        ious = [scores["class_iou"][name] for scores in branches.values()]
        cells = ("-".rjust(10) if iou is None else f"{100 * iou:10.2f}" for iou in ious)
        lines.append(name.ljust(column) + "".join(cells))
    return "\n".join(lines)
