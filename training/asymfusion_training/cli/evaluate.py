"""`asymfusion evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.errors import UserError
from asymfusion_training.cli.evaluate_options import EXAMPLES, add_arguments
from asymfusion_training.evaluation.bootstrap import Difference, paired_difference
from asymfusion_training.evaluation.confusion_picture import save_confusion
from asymfusion_training.evaluation.evaluate import check_labelled, with_progress
from asymfusion_training.evaluation.plan import Plan, make_plan
from asymfusion_training.evaluation.processes import Job, score_frames
from asymfusion_training.evaluation.report import (
    as_json,
    bootstrap_report,
    branch_report,
    class_table,
    difference_table,
    score_table,
)
from asymfusion_training.evaluation.tally import Tallies, summed
from asymfusion_training.evaluation.torchrun import Ranks, torchrun_ranks

__all__ = ["EXAMPLES", "add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    with torchrun_ranks() as ranks:
        try:
            return _run(args, ranks)
        except UserError:
            if ranks.rank:  # rank 0 says it
                return 1
            raise


def _run(args: argparse.Namespace, ranks: Ranks) -> int:
    plan = make_plan(args, ranks)
    scored = [ranks.share_out(plan.names, partial(_score, job, plan.devices, ranks)) for job in plan.jobs]
    found = [tallies for tallies in scored if tallies is not None]
    if not found:  # rank 0 has them all
        return 0
    for tallies in found:
        check_labelled(tallies, plan.folder)
    differences = _differences(args, found)
    _print(args, plan, found, differences)
    if args.json is not None:
        report = _report(args, plan, found, differences)
        write_whole(args.json, as_json(report).encode())
    if args.confusion is not None:
        title = f"{args.checkpoint} on {plan.folder.name} {args.split}, ensemble"
        save_confusion(args.confusion, found[0]["ensemble"].confusion, plan.folder.labels, title)
    return 0


def _score(job: Job, devices: Sequence[torch.device], ranks: Ranks, names: Sequence[str]) -> Tallies:
    return summed(with_progress(score_frames(job, names, devices), len(names), ranks.rank == 0))


def _differences(args: argparse.Namespace, found: Sequence[Tallies]) -> list[Difference]:
    ours = found[0]
    pairs = []
    if args.bootstrap and len(ours) > 2:
        pairs += [
            (("ensemble", ours["ensemble"]), (branch, ours[branch]))
            for branch in ours
            if branch != "ensemble"
        ]
    if len(found) > 1:
        pairs.append(((args.checkpoint, ours["ensemble"]), (args.against, found[1]["ensemble"])))
    return [paired_difference(one, other, args.seed) for one, other in pairs]


def _print(
    args: argparse.Namespace,
    plan: Plan,
    found: Sequence[Tallies],
    differences: Sequence[Difference],
) -> None:
    parts = []
    for job, tallies in zip(plan.jobs, found):
        told = f", {job.settings}" if str(job.settings) else ""
        title = (
            f"{plan.folder.name} {args.split}: {len(plan.names)} frames, checkpoint {job.checkpoint}{told}"
        )
        parts.append(f"{title}\n{score_table(tallies)}")
        if args.per_class:
            parts.append(class_table(tallies, plan.folder.labels.names))
    if differences:
        parts.append(difference_table(differences, len(plan.names), args.seed))
    print("\n\n".join(parts))


def _report(
    args: argparse.Namespace,
    plan: Plan,
    found: Sequence[Tallies],
    differences: Sequence[Difference],
) -> dict[str, Any]:
    entries = [
        {
            "checkpoint": job.checkpoint,
            "modalities": list(job.modalities),
            "branches": {
                branch: branch_report(tally, plan.folder.labels.names) for branch, tally in tallies.items()
            },
        }
        for job, tallies in zip(plan.jobs, found)
    ]
    report = {
        "data": plan.folder.name,
        "split": args.split,
        "frames": len(plan.names),
        "settings": plan.jobs[0].settings.to_dict(),
        **entries[0],
    }
    if len(entries) > 1:
        report["against"] = entries[1]
    if differences:
        report["bootstrap"] = bootstrap_report(differences, len(plan.names), args.seed)
    return report
