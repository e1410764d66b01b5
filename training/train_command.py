"""`asymfusion train`."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.errors import ConfigError
from asymfusion_training.recipe import load_recipe
from asymfusion_training.train import train

EXAMPLES = """\
  asymfusion train --data data/nyudv2 --output runs/first
  asymfusion train --data my_frames --recipe my_recipe.yaml --output runs/mine --device cuda
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder in the folder format, with splits train and val"
    )
    parser.add_argument(
        "--recipe",
        default="nyudv2_efficientnet_lite0",
        help="a recipe of the package, or a YAML file (default: %(default)s)",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("runs/latest"), help="where checkpoints go (default: %(default)s)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=1, help="processes that read frames (default: %(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    if args.workers < 0:
        raise ConfigError(f"--workers is {args.workers}; it must be 0 (read in this process) or more")
    recipe = load_recipe(args.recipe)
    device = choose_device(args.device)
    threads = f", {torch.get_num_threads()} threads" if device.type == "cpu" else ""
    print(f"recipe {args.recipe}, data {args.data}, device {device}{threads}, checkpoints in {args.output}")
    best = train(recipe, args.recipe, Folder(args.data), args.output, device, args.workers)
    print(f"the best checkpoint: {best}")
    return 0
