"""`asymfusion soup`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from asymfusion_ros.checkpoint import check_output, load_checkpoint, save_checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.errors import ConfigError
from asymfusion_training.evaluation.evaluate import evaluate
from asymfusion_training.evaluation.live_network import live
from asymfusion_training.evaluation.plan import check_labels
from asymfusion_training.weights.soup import State, check_alike, greedy, mean_state

EXAMPLES = """\
  asymfusion soup runs/a/best.safetensors runs/b/best.safetensors --output soup.safetensors
  asymfusion soup runs/*/best.safetensors --data data/nyudv2 --output soup.safetensors
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion soup --help``."""
    add = parser.add_argument
    add(
        "checkpoints",
        nargs="+",
        metavar="CHECKPOINT",
        help="of the same network, trained from the same weights",
    )
    add("--output", type=Path, required=True, metavar="FILE", help="the .safetensors checkpoint to write")
    add(
        "--data",
        type=Path,
        metavar="DIR",
        help="try the checkpoints on this folder, best first, and average only those with which the "
        "ensemble's mean IoU does not fall (default: all)",
    )
    add("--split", default="val", help="the frames of --data to score (default: %(default)s)")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Averages, and says what. Raises UserError."""
    paths = list(dict.fromkeys(args.checkpoints))
    if len(paths) < 2:
        raise ConfigError(f"{paths[0]} alone cannot be averaged: give two or more checkpoints")
    check_output(args.output)
    found = {path: load_checkpoint(path) for path in paths}
    check_alike(found)
    checkpoints = list(found.values())
    first = checkpoints[0]
    kept, more = list(range(len(paths))), {}
    if args.data is not None:
        folder, device = Folder(args.data), choose_device(args.device)
        check_labels(first, folder, paths[0])
        folder.check_modalities(first.config.modalities)
        names = folder.names(args.split)

        def score(state: State) -> float:
            with live(replace(first, state_dict=state).build().to(device)) as backend:
                modalities, spec = first.config.modalities, first.input_spec
                matrices = evaluate(backend, modalities, spec, folder, names, progress=sys.stderr.isatty())
            return matrices["ensemble"].scores()["mean_iou"]

        kept, reached, own = greedy(checkpoints, score)
        print(f"mean IoU of the ensemble on {folder.name} {args.split}, in %:")
        for index, (path, value) in enumerate(zip(paths, own)):
            print(f"  {100 * value:.2f}  {path}{'' if index in kept else ', left out'}")
        print(f"  {100 * reached:.2f}  the mean of {len(kept)}")
        more = {args.split: {"ensemble": {"mean_iou": reached}}}
    provenance = {
        "data": first.provenance.get("data"),
        "soup": [Path(paths[index]).name for index in kept],
        **more,
    }
    save_checkpoint(
        args.output,
        mean_state([checkpoints[index] for index in kept]),
        first.config,
        first.labels,
        first.input_spec,
        provenance,
        torch.float16,
    )
    print(f"{args.output}: the mean of {', '.join(paths[index] for index in kept)}")
    return 0
