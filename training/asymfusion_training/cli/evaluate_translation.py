"""`asymfusion evaluate` of a checkpoint that makes images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from asymfusion_ros.atomic_write import check_place, write_whole
from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.errors import ConfigError
from asymfusion_training.evaluation.bootstrap import CONFIDENCE, RESAMPLES
from asymfusion_training.evaluation.image_scores import IMAGE_SCORES
from asymfusion_training.evaluation.inception_scores import INCEPTION_SCORES, WEIGHTS
from asymfusion_training.evaluation.plan import frame_names
from asymfusion_training.evaluation.report import as_json
from asymfusion_training.evaluation.results_page import PAGE
from asymfusion_training.evaluation.translation_scorer import ENSEMBLE
from asymfusion_training.evaluation.translation_scores import (
    TranslationScores,
    mean_difference,
    translation_scores,
)

SCORES = (*IMAGE_SCORES, *INCEPTION_SCORES)
# By destination in the parsed arguments: what only masks have.
OF_MASKS = {
    "flip": False, "depth_holes": 0.0, "against": None, "reliability": None, "calibrate": None,
    "per_class": False, "confusion": None, "save_masks": None, "scales": [1.0], "processes": 1,
    "check_precisions": None, "boundary_ratio": 0.02,
}  # fmt: skip
OF_IMAGES = {"scores": None, "inception": None, "results": None}


def add_image_options(group: argparse._ActionsContainer) -> None:
    """Of checkpoints that make images."""
    add_scores(group)
    group.add_argument(
        "--results",
        metavar="DIR",
        type=Path,
        help=f"write DIR/{PAGE}: inputs, each domain's image, the fused one, the truth",
    )


def add_scores(group: argparse._ActionsContainer) -> None:
    """Which scores of images, and what they need."""
    add = group.add_argument
    add(
        "--scores",
        nargs="+",
        choices=SCORES,
        metavar="SCORE",
        help=f"of images: {', '.join(SCORES)} (default: {' '.join(IMAGE_SCORES)}, which need no weights)",
    )
    add("--inception", type=Path, metavar="FILE", help=f"for fid and kid: {WEIGHTS}")


def check_masks(args: argparse.Namespace) -> None:
    """Raises ConfigError for an option of images, where the checkpoint makes masks."""
    _check(args, OF_IMAGES, "is for checkpoints that make images; this one makes masks: leave it out")


def _check(args: argparse.Namespace, defaults: dict[str, Any], fault: str) -> None:
    for name, default in defaults.items():
        if getattr(args, name, default) != default:
            raise ConfigError(f"--{name.replace('_', '-')} {fault}")


def run_translation(args: argparse.Namespace, checkpoint: Checkpoint) -> int:
    """Scores, and writes what was asked for. Raises UserError."""
    _check(args, OF_MASKS, "is for checkpoints that make masks; this one makes images: leave it out")
    folder, has = Folder(args.data), checkpoint.config.modalities
    unknown = [name for name in args.modalities or () if name not in has]
    if unknown:
        raise ConfigError(f"--modalities: {unknown[0]!r} is not one of the checkpoint's {', '.join(has)}")
    given = has if args.modalities is None else tuple(name for name in has if name in args.modalities)
    assert checkpoint.target is not None
    folder.check_modalities((*given, checkpoint.target))
    names = frame_names(args, folder)
    if args.bootstrap and (len(names) < 2 or len(given) < 2):
        raise ConfigError(
            "--bootstrap: it compares the ensemble with each of two or more domains, on 2 frames"
        )
    if args.json is not None:
        check_place(args.json)
    found = translation_scores(
        checkpoint,
        folder,
        names,
        given,
        args.scores or tuple(IMAGE_SCORES),
        args.inception,
        args.device,
        args.precision,
        args.results,
    )
    print(f"{folder.name} {args.split}: {len(names)} frames, checkpoint {args.checkpoint}")
    print(_table(found))
    differences = _differences(args, found)
    for line in differences:
        print(
            f"L1 of ensemble - {line['other']}: {line['difference']:+.4f}  "
            f"[{line['low']:+.4f}, {line['high']:+.4f}]"
        )
    if args.results is not None:
        print(f"page: {args.results / PAGE}")
    if args.json is not None:
        report: dict[str, Any] = {
            "checkpoint": args.checkpoint,
            "data": folder.name,
            "split": args.split,
            "frames": len(names),
            "target": checkpoint.target,
            "modalities": list(given),
            "branches": found.means(),
        }
        if differences:
            report["bootstrap"] = {
                "score": "l1",
                "resamples": RESAMPLES,
                "confidence": CONFIDENCE,
                "differences": differences,
            }
        write_whole(args.json, as_json(report).encode())
    return 0


def _table(found: TranslationScores) -> str:
    means = found.means()
    titles = {name: score.title for name, score in IMAGE_SCORES.items()} | INCEPTION_SCORES
    shown = list(means[ENSEMBLE])
    lines = ["".ljust(12) + "".join(titles[name].rjust(10) for name in shown)]
    for output, scores in means.items():
        lines.append(output.ljust(12) + "".join(f"{scores[name]:10.4f}" for name in shown))
    return "\n".join(lines)


def _differences(args: argparse.Namespace, found: TranslationScores) -> list[dict[str, Any]]:
    if not args.bootstrap:
        return []
    ours, lines = found.values[ENSEMBLE][:, 0], []
    for output, values in found.values.items():
        if output != ENSEMBLE:
            value, low, high = mean_difference(ours, values[:, 0], args.seed)
            lines.append({"other": output, "difference": value, "low": low, "high": high})
    return lines
