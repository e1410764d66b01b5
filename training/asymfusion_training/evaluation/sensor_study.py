"""Which faults of a sensor the alarm finds, and how often it is false: `python -m
asymfusion_training.evaluation.sensor_study --help`.

Every frame of a split goes through the network as it is and with each fault; docs/sensor_monitor.md says how
to read the rates.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from asymfusion_ros import Segmenter
from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.checkpoint.usual_disagreement import LEVELS, histogram
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.errors import UserError
from asymfusion_training.evaluation.disagreement_measures import ENGINE, MEASURES
from asymfusion_training.evaluation.predict import view_logits
from asymfusion_training.evaluation.scorer import Scorer
from asymfusion_training.evaluation.sensor_faults import CLEAN, FAULTS, HARMLESS, Fault
from asymfusion_training.evaluation.sensor_picture import save_sensor_picture
from asymfusion_training.evaluation.sensor_rates import VIEWS, Histograms, alarm_rate, cross_fitted

MODALITIES = ("rgb", "depth")
QUANTILE = 0.95  # the node's default for disagreement_alarm
QUANTILES = (0.9, QUANTILE, 0.98, 1.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the study; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m asymfusion_training.evaluation.sensor_study",
        description="How often the disagreement of RGB and depth tells a faulty sensor from a good one.",
        epilog="example: python -m asymfusion_training.evaluation.sensor_study default --data data/nyudv2",
    )
    add = parser.add_argument
    add("checkpoint", help="a .safetensors file, or 'default' for the one in the package")
    add("--data", type=Path, required=True, help="a folder in the folder format")
    add("--split", default="val", help="its frames, in the order in which they were taken (default: val)")
    add("--limit", type=int, metavar="N", help="only the split's first N frames")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--json", type=Path, metavar="FILE", help="write everything to FILE")
    add("--plot", type=Path, metavar="PNG", help="draw the shares of each fault, and the alarm's curves")
    args = parser.parse_args(arguments)
    try:
        report = study(args)
        if args.json is not None:
            write_whole(args.json, (json.dumps(report, indent=1) + "\n").encode())
        if args.plot is not None:
            save_sensor_picture(args.plot, report)
    except UserError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1
    print(rate_table(report))
    return 0


def study(args: argparse.Namespace) -> dict[str, Any]:
    """Everything that was measured. Raises UserError."""
    segmenter, folder = Segmenter.from_checkpoint(args.checkpoint, args.device, "fp32"), Folder(args.data)
    lacking = [name for name in MODALITIES if name not in segmenter.modalities]
    if lacking:
        raise UserError(f"{args.checkpoint} takes no {lacking[0]}: the faults are of rgb and depth")
    names = folder.names(args.split)[: args.limit]
    if len(names) < 2:
        raise UserError(f"{len(names)} frame of {args.split}: half of the frames are compared to the rest")
    conditions = (CLEAN, *HARMLESS, *FAULTS)
    found = measured(segmenter, folder, names, conditions)
    halves = cross_fitted(found[ENGINE], CLEAN.name)
    return {
        "checkpoint": args.checkpoint,
        "data": folder.name,
        "split": args.split,
        "frames": len(names),
        "harmless": [one.name for one in (CLEAN, *HARMLESS)],
        "halves": [
            {"level": usual.level, "median": usual.quantile(0.5), "threshold": usual.quantile(QUANTILE)}
            for usual, _ in halves
        ],
        "rates": {
            f"{quantile:g}": {
                one.name: {str(views): alarm_rate(halves, one.name, quantile, views) for views in VIEWS}
                for one in conditions
            }
            for quantile in QUANTILES
        },
        "measures": {
            measure: {
                one.name: alarm_rate(cross_fitted(counts, CLEAN.name), one.name, QUANTILE, 1)
                for one in conditions
            }
            for measure, counts in found.items()
        },
        "shares": {
            one.name: [round(share, 4) for _, values in halves for share in values[one.name]]
            for one in conditions
        },
    }


def measured(
    segmenter: Segmenter, folder: Folder, names: Sequence[str], conditions: Sequence[Fault]
) -> dict[str, Histograms]:
    """measure -> condition -> a histogram of each frame's disagreement."""
    spec = segmenter.checkpoint.input_spec
    scorer = Scorer(segmenter.backend, spec, folder, MODALITIES)
    shape = (len(names), LEVELS)
    found = {measure: {one.name: np.zeros(shape, np.int64) for one in conditions} for measure in MEASURES}
    for number in tqdm(range(len(names)), "study", unit="frame", leave=False):
        frame = scorer.read(names[number])
        before = scorer.read(names[number - 1])
        elsewhere = scorer.read(names[(number + len(names) // 2) % len(names)])
        for condition in conditions:
            other = elsewhere if condition.scene else before
            changed = replace(frame, images=condition(frame.images, other.images))
            logits = view_logits(scorer.backend, spec, scorer.images(changed))
            for measure, counts in found.items():
                levels = MEASURES[measure]([logits[name][0] for name in MODALITIES])
                counts[condition.name][number] = histogram(levels.cpu().numpy())
    return {measure: dict(counts) for measure, counts in found.items()}


def rate_table(report: Mapping[str, Any]) -> str:
    """The rates of alarms at the node's default, for people and for Markdown."""
    lines = [f"| {report['data']} {report['split']}, alarms in % | one view | 5 views | 10 views |"]
    lines.append("|---|---|---|---|")
    for condition, rates in report["rates"][f"{QUANTILE:g}"].items():
        cells = ["-" if rate is None else f"{100 * rate:.0f}" for rate in rates.values()]
        lines.append(f"| {condition} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
