"""`asymfusion evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from asymfusion_ros import Segmenter
from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.errors import UserError
from asymfusion_training.cli.evaluate_options import EXAMPLES, add_arguments
from asymfusion_training.cli.evaluate_translation import check_masks, run_translation
from asymfusion_training.evaluation.bootstrap import Difference, paired_difference
from asymfusion_training.evaluation.calibrate import (
    Fitted,
    calibrate,
    calibration_table,
    with_temperatures,
)
from asymfusion_training.evaluation.confusion_picture import save_confusion
from asymfusion_training.evaluation.counts import SplitScores, SplitSum
from asymfusion_training.evaluation.evaluate import check_labelled
from asymfusion_training.evaluation.job import run_jobs
from asymfusion_training.evaluation.plan import Plan, make_plan
from asymfusion_training.evaluation.precisions import precision_lines, with_precision_checks
from asymfusion_training.evaluation.reliability_picture import save_reliability
from asymfusion_training.evaluation.report import (
    absent_classes,
    as_json,
    bootstrap_report,
    calibration_line,
    calibration_report,
    class_table,
    difference_table,
    output_report,
    score_table,
)

__all__ = ["EXAMPLES", "add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Scores, and writes what was asked for. Raises UserError."""
    checkpoint = load_checkpoint(args.checkpoint)
    if checkpoint.target is not None:
        return run_translation(args, checkpoint)
    check_masks(args)
    plan = make_plan(args)
    found: list[SplitSum] | UserError = plan.fabric.launch(
        partial(run_jobs, jobs=plan.jobs, names=plan.names)
    )
    if not plan.fabric.is_global_zero:  # of torchrun's: the first one tells
        return 1 if isinstance(found, UserError) else 0
    if isinstance(found, UserError):
        raise found
    scores = [counts.scores() for counts in found]
    for one in scores:
        check_labelled(one, plan.folder)
    differences = _differences(args, scores)
    _print(args, plan, scores, differences)
    fitted = [] if args.calibrate is None else _calibrate(args, plan)
    if args.check_precisions is not None:
        _check_precisions(args, plan)
    if args.json is not None:
        report = _report(args, plan, scores, differences, fitted)
        write_whole(args.json, as_json(report).encode())
    title = f"{args.checkpoint} on {plan.folder.name} {args.split}, ensemble"
    if args.reliability is not None:
        save_reliability(args.reliability, scores[0]["ensemble"].confidence, title)
    if args.confusion is not None:
        save_confusion(args.confusion, scores[0]["ensemble"].confusion, plan.folder.labels, title)
    return 0


def _differences(args: argparse.Namespace, found: Sequence[SplitScores]) -> list[Difference]:
    ours = found[0]
    pairs = []
    if args.bootstrap and len(ours) > 2:
        pairs += [
            (("ensemble", ours["ensemble"]), (output, ours[output]))
            for output in ours
            if output != "ensemble"
        ]
    if len(found) > 1:
        pairs.append(((args.checkpoint, ours["ensemble"]), (args.against, found[1]["ensemble"])))
    return [paired_difference(one, other, args.seed) for one, other in pairs]


def _calibrate(args: argparse.Namespace, plan: Plan) -> list[Fitted]:
    """Writes the calibrated checkpoint."""
    checkpoint = load_checkpoint(args.checkpoint)
    segmenter = Segmenter(checkpoint, str(plan.fabric.device), args.precision)
    fitted = calibrate(segmenter, plan.folder, plan.names, plan.jobs[0].modalities)
    calibrated = with_temperatures(checkpoint, fitted, plan.folder.name, args.split, len(plan.names))
    calibrated.save(args.calibrate)
    print(f"\n{calibration_table(fitted)}\nwritten to {args.calibrate}")
    return fitted


def _check_precisions(args: argparse.Namespace, plan: Plan) -> None:
    """Writes the checkpoint with the checks; the calibrated one, where it is calibrated too."""
    checkpoint = load_checkpoint(args.calibrate or args.checkpoint)
    checked = with_precision_checks(checkpoint, plan.folder, plan.names, args.split)
    checked.save(args.check_precisions)
    print("\n" + "\n".join(precision_lines(checked)))
    print(f"written to {args.check_precisions}")


def _print(
    args: argparse.Namespace,
    plan: Plan,
    found: Sequence[SplitScores],
    differences: Sequence[Difference],
) -> None:
    parts = []
    for job, scores in zip(plan.jobs, found):
        views = f", {job.settings}" if str(job.settings) else ""
        title = (
            f"{plan.folder.name} {args.split}: {len(plan.names)} frames, checkpoint {job.checkpoint}{views}"
        )
        absent = absent_classes(scores, plan.folder.labels.names)
        confidence = calibration_report(scores, job.temperature)
        calibration = "" if confidence is None else calibration_line(confidence)
        parts.append("\n".join(filter(None, (title, score_table(scores), absent, calibration))))
        if args.per_class:
            parts.append(class_table(scores, plan.folder.labels.names))
    if differences:
        parts.append(difference_table(differences, len(plan.names), args.seed))
    print("\n\n".join(parts))


def _report(
    args: argparse.Namespace,
    plan: Plan,
    found: Sequence[SplitScores],
    differences: Sequence[Difference],
    fitted: Sequence[Fitted],
) -> dict[str, Any]:
    names = plan.folder.labels.names
    entries = [
        {
            "checkpoint": job.checkpoint,
            "modalities": list(job.modalities),
            "branches": {output: output_report(counts, names) for output, counts in scores.items()},
            "calibration": calibration_report(scores, job.temperature),
        }
        for job, scores in zip(plan.jobs, found)
    ]
    report = {
        "data": plan.folder.name,
        "split": args.split,
        "frames": len(plan.names),
        "settings": plan.jobs[0].settings.to_dict(),
        "precision": args.precision,
        **entries[0],
    }
    if len(entries) > 1:
        report["against"] = entries[1]
    if differences:
        report["bootstrap"] = bootstrap_report(differences, len(plan.names), args.seed)
    if fitted:
        report["calibrated"] = {
            one.key: {
                "temperature": one.temperature,
                "ece_before": one.before,
                "ece_after": one.after,
                **({} if one.usual is None else {"disagreement": one.usual.to_dict()}),
            }
            for one in fitted
        }
    return report
