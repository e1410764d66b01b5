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
from asymfusion_ros.engine.exported import scored_by
from asymfusion_ros.errors import UserError
from asymfusion_training.evaluation.disagreement_measures import ENGINE, MEASURES
from asymfusion_training.evaluation.predict import view_logits
from asymfusion_training.evaluation.scorer import Scorer
from asymfusion_training.evaluation.sensor_example import Example, examples, save_examples
from asymfusion_training.evaluation.sensor_faults import CLEAN, FAULTS, HARMLESS, Fault
from asymfusion_training.evaluation.sensor_picture import save_sensor_picture
from asymfusion_training.evaluation.sensor_rates import VIEWS, Histograms, alarm_rate, cross_fitted

MODALITIES = ("rgb", "depth")
QUANTILE = 0.95  # the node's default for disagreement_alarm
QUANTILES = (0.9, QUANTILE, 0.98, 1.0)
CONDITIONS = (CLEAN, *HARMLESS, *FAULTS)


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
    add(
        "--example",
        type=Path,
        metavar="PNG",
        help="also judge the demo's recording, and draw its disagreement",
    )
    args = parser.parse_args(arguments)
    try:
        segmenter = _segmenter(args)
        shown = [] if args.example is None else examples(segmenter, CONDITIONS)
        report = study(segmenter, args) | _on_recording(segmenter, shown)
        if args.json is not None:
            write_whole(args.json, (json.dumps(report, indent=1) + "\n").encode())
        if args.plot is not None:
            save_sensor_picture(args.plot, report)
        if args.example is not None:
            save_examples(args.example, shown, report["recording"]["level"])
    except UserError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return 1
    print(rate_table(report))
    return 0


def _segmenter(args: argparse.Namespace) -> Segmenter:
    segmenter = Segmenter.from_checkpoint(args.checkpoint, args.device, "fp32", scored_by(args.checkpoint))
    lacking = [name for name in MODALITIES if name not in segmenter.modalities]
    if lacking:
        raise UserError(f"{args.checkpoint} takes no {lacking[0]}: the faults are of rgb and depth")
    if args.example is not None and segmenter.checkpoint.usual_disagreement(MODALITIES) is None:
        raise UserError(
            f"{args.checkpoint} does not say how far its modalities usually disagree: let `asymfusion "
            "evaluate --calibrate` measure it"
        )
    return segmenter


def _on_recording(segmenter: Segmenter, shown: Sequence[Example]) -> dict[str, Any]:
    """The built-in recording's frame, judged by what the checkpoint says is usual."""
    usual = segmenter.checkpoint.usual_disagreement(MODALITIES)
    if usual is None or not shown:
        return {}
    return {
        "recording": {
            "level": usual.level,
            "threshold": usual.quantile(QUANTILE),
            "shares": {one.condition.name: round(usual.share(one.disagreement), 4) for one in shown},
        }
    }


def study(segmenter: Segmenter, args: argparse.Namespace) -> dict[str, Any]:
    """Everything that was measured on the split. Raises UserError."""
    folder = Folder(args.data)
    names = folder.names(args.split)[: args.limit]
    if len(names) < 2:
        raise UserError(f"{len(names)} frame of {args.split}: half of the frames are compared to the rest")
    found = measured(segmenter, folder, names, CONDITIONS)
    halves = cross_fitted(found[ENGINE], CLEAN.name)
    return {
        "checkpoint": args.checkpoint,
        "data": folder.name,
        "split": args.split,
        "frames": len(names),
        "harmless": [one.name for one in (CLEAN, *HARMLESS)],
        "halves": [
            {
                "level": half.usual.level,
                "median": half.usual.quantile(0.5),
                "threshold": half.usual.quantile(QUANTILE),
            }
            for half in halves
        ],
        "rates": {
            f"{quantile:g}": {
                one.name: {str(views): alarm_rate(halves, one.name, quantile, views) for views in VIEWS}
                for one in CONDITIONS
            }
            for quantile in QUANTILES
        },
        "own_threshold": {
            one.name: {
                str(views): alarm_rate(halves, one.name, QUANTILE, views, own_threshold=True)
                for views in VIEWS
            }
            for one in CONDITIONS
        },
        "measures": {
            measure: {
                one.name: alarm_rate(cross_fitted(counts, CLEAN.name), one.name, QUANTILE, 1)
                for one in CONDITIONS
            }
            for measure, counts in found.items()
        },
        "shares": {
            one.name: [round(share, 4) for half in halves for share in half.shares[one.name]]
            for one in CONDITIONS
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
    heads = [
        f"{report['data']} {report['split']}, alarms in %",
        "1 view",
        *(f"{views} views" for views in VIEWS[1:]),
    ]
    heads.append(f"{VIEWS[-1]} views, a threshold for such")
    rows = []
    for condition, rates in report["rates"][f"{QUANTILE:g}"].items():
        values = [*rates.values(), report["own_threshold"][condition][str(VIEWS[-1])]]
        rows.append([condition, *map(percent, values)])
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def percent(rate: float | None) -> str:
    """A fraction in whole percent; - for none."""
    return "-" if rate is None else f"{100 * rate:.0f}"


if __name__ == "__main__":
    sys.exit(main())
