"""`asymfusion info`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asymfusion_ros import __version__
from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.checkpoint import Checkpoint, load_checkpoint
from asymfusion_ros.errors import UserError
from asymfusion_ros.inspection import tables
from asymfusion_ros.inspection.anatomy import Anatomy, examine
from asymfusion_ros.inspection.picture import norm_picture
from asymfusion_ros.inspection.provenance import packed, printable, scores, strict, summary
from asymfusion_ros.packaged import checkpoint_file

EXAMPLES = """\
  asymfusion info default
  asymfusion info runs/nyudv2/best.safetensors --size 480 640 --layers
  asymfusion info default --plot norms.png --json default.json
"""
LARGEST = 65536  # pixels of a side


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command\'s options."""
    parser.add_argument("checkpoint", metavar="CKPT", help="a .safetensors file, or 'default'")
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("HEIGHT", "WIDTH"),
        help="of the frame that FLOPs and shapes are given for (default: the checkpoint's input size)",
    )
    parser.add_argument("--layers", action="store_true", help="also list every layer")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE.png", help="draw how far the private norms have moved apart"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything here as JSON, layers too")


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code. Raises UserError."""
    if args.size is not None and not all(1 <= side <= LARGEST for side in args.size):
        raise UserError(f"--size {args.size[0]} {args.size[1]}: height and width are 1 to {LARGEST} pixels")
    if args.plot is not None and args.plot.suffix.lower() != ".png":
        raise UserError(f"--plot {args.plot}: the picture is a PNG; give a name that ends in .png")
    checkpoint = load_checkpoint(args.checkpoint)
    spec = checkpoint.input_spec
    size = tuple(args.size) if args.size else (spec.height, spec.width)
    found = examine(checkpoint.config, checkpoint.state_dict, size)
    if args.plot is not None:
        write_whole(args.plot, _picture(args.checkpoint, found))
    if args.json is not None:
        report = strict(_report(args.checkpoint, checkpoint, found))
        write_whole(args.json, (json.dumps(report, indent=2) + "\n").encode())
    sections = [tables.parameters, tables.flops, tables.fusion, tables.ensemble, tables.norms]
    texts = [_identity(args.checkpoint, checkpoint), *(section(found) for section in sections)]
    if args.layers:
        texts.append(tables.layers(found))
    try:
        print("\n\n".join(filter(None, map("\n".join, texts))), flush=True)
    except BrokenPipeError:  # `| head` has read enough; what Python flushes at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _picture(name: str, found: Anatomy) -> bytes:
    modalities = found.config.modalities
    if not found.norms:
        reason = "has one modality" if len(modalities) == 1 else "shares its norms among all modalities"
        raise UserError(f"--plot: {name} {reason}: there is no distance to draw (leave --plot out)")
    pairs = "" if len(modalities) == 2 else " (mean over pairs)"
    title = (
        f"{printable(Path(name).name)}: how far private norms are apart, "
        f"{', '.join(map(printable, modalities))}{pairs}"
    )
    try:
        return norm_picture(found.norms, title)
    except ModuleNotFoundError as error:
        raise UserError(
            f"--plot needs {error.name}, which is not installed: pip install 'asymfusion_ros[train]'"
        ) from error


def _identity(name: str, checkpoint: Checkpoint) -> Iterator[str]:
    config, spec = checkpoint.config, checkpoint.input_spec
    path = checkpoint_file(name)
    kinds = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in checkpoint.state_dict.values()})
    width = f", {config.decoder_channels} channels wide" if config.decoder_channels else ""
    yield f"{name}: {path.stat().st_size / 1e6:.1f} MB, {', '.join(kinds)}"
    rows = [
        ("network", f"{config.architecture}{width}, over {config.encoder}; variant {config.variant}"),
        ("classes", f"{config.classes} ({printable(checkpoint.labels.name)})")
        if checkpoint.target is None
        else ("makes", f"{printable(checkpoint.target)} images"),
        ("modalities", " + ".join(map(printable, config.modalities))),
    ]
    if len(config.modalities) > 1:
        rows += [
            (
                "encoder",
                f"convolutions {'shared' if config.shared_convs else 'individual'}, "
                f"norms {'private' if config.private_norms else 'shared'}",
            ),
            (
                "fusion",
                f"{config.fusion}, {printable(config.direction)}; keeps {config.keep:g} of the channels",
            ),
        ]
    rows.append(("input", f"{spec.height} x {spec.width} pixels (height x width)"))
    if spec.several_views:
        sizes = checkpoint.view_sizes
        listed = ", ".join(f"{height} x {width}" for height, width in dict.fromkeys(sizes))
        times = sum(height * width for height, width in sizes) / (spec.height * spec.width)
        mirrored = ", mirrored too" if spec.view_flip else ""
        rows.append(("views", f"{listed}{mirrored}: {times:.1f} times the FLOPs below"))
    for line in packed(summary(checkpoint.provenance)):
        rows.append(("from" if rows[-1][0] in ("input", "views") else "", line))
    for split, branches in scores(checkpoint.provenance).items():
        numbers = ", ".join(f"{printable(branch)} {100 * value:.2f}" for branch, value in branches.items())
        rows.append(("scores", f"mean IoU on {printable(split)} in %: {numbers}"))
    if checkpoint.target is None:
        rows += _calibration(checkpoint)
    for check in checkpoint.precision_checks:
        taken = "auto takes it" if check.passed else "not enough for auto"
        rows.append((check.precision, f"{check.way}: {check}: {taken}"))
    for key, value in rows:
        yield f"  {key:11} {value}"


def _calibration(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    numbers = ", ".join(f"{printable(key)} {one:.3f}" for key, one in checkpoint.temperatures.items())
    yield "temperature", numbers or "1: not calibrated (asymfusion evaluate --calibrate)"
    for key, usual in checkpoint.disagreements.items():
        middle, most = (100 * usual.quantile(fraction) for fraction in (0.5, 0.95))
        yield (
            "disagree",
            f"{printable(key)} usually beyond {usual.level} of 255 in {middle:.1f} % of pixels, in 95 of 100 "
            f"frames in at most {most:.1f} %",
        )
    if len(checkpoint.config.modalities) > 1 and not checkpoint.disagreements:
        yield "disagree", "what is usual was not measured (asymfusion evaluate --calibrate)"


def _report(name: str, checkpoint: Checkpoint, found: Anatomy) -> dict[str, Any]:
    return {
        "checkpoint": name,
        "version": __version__,
        "network": checkpoint.config.to_dict(),
        "labels": {"name": checkpoint.labels.name, "names": list(checkpoint.labels.names)},
        "target": checkpoint.target,
        "input": checkpoint.input_spec.to_dict(),
        "views": [list(size) for size in checkpoint.view_sizes],
        "provenance": checkpoint.provenance,
        "calibration": {
            "temperatures": dict(checkpoint.temperatures),
            "disagreements": {key: one.to_dict() for key, one in checkpoint.disagreements.items()},
        },
        "precision_checks": [one.to_dict() for one in checkpoint.precision_checks],
        **found.to_dict(),
    }
