"""`asymfusion train`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.engine.allocator import keep_freed_memory
from asymfusion_training.cli.run_options import add_run_options, run_options
from asymfusion_training.recipe import load_recipe, settings_tables
from asymfusion_training.run import make_trainer, training_fabric

EXAMPLES = """\
  asymfusion train --data data/nyudv2 --output runs/first
  asymfusion train --data my_frames --recipe my_recipe.yaml --output runs/mine --device cuda
  asymfusion train --data my_frames --set epochs=30 --set network.modalities=[rgb] --output runs/rgb
  asymfusion train --data my_frames --set pretrained=default --set epochs=30 --output runs/tuned
  asymfusion train --data my_frames --set 'teachers=[large.safetensors]' --output runs/student
  asymfusion train --data my_frames --output runs/mine --resume
  asymfusion train --data data/cityscapes --output runs/city --devices 4 --workers 8
  torchrun --nnodes 2 --nproc-per-node 8 --rdzv-endpoint HOST:29500 --no-python asymfusion train \\
      --data data/cityscapes --output runs/city --workers 8
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion train --help``."""
    parser.add_argument(
        "--data", type=Path, required=True, help="a folder in the folder format, with splits train and val"
    )
    parser.add_argument(
        "--recipe",
        default="nyudv2_efficientnet_lite0",
        help="a recipe of the package, or a YAML file (default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting of the recipe, e.g. epochs=30 or network.encoder=efficientnet_lite2",
    )
    parser.add_argument(
        "--list-settings", action=ListSettings, nargs=0, help="list the settings of a recipe and exit"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("runs/latest"), help="where checkpoints go (default: %(default)s)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --output, exactly where it was"
    )
    parser.add_argument(
        "--teacher-cache",
        type=Path,
        metavar="DIR",
        help="where the predictions of the recipe's teachers are kept, for several runs that have the same "
        "(default: teachers in --output)",
    )
    add_run_options(parser)


class ListSettings(argparse.Action):
    """Prints every setting of a recipe, and ends the command as --help does."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(settings_tables(), end="")
        parser.exit()


def run(args: argparse.Namespace) -> int:
    """Trains, and says where the checkpoint is. Raises UserError."""
    options = run_options(args)
    recipe = load_recipe(args.recipe, args.set)
    fabric = training_fabric([recipe], args.device, args.devices)
    fabric.launch()
    if fabric.device.type == "cpu":
        keep_freed_memory()
    threads = f", {torch.get_num_threads()} threads" if fabric.device.type == "cpu" else ""
    processes = f", {fabric.world_size} processes" if fabric.world_size > 1 else ""
    if fabric.is_global_zero:
        print(
            f"recipe {args.recipe}, data {args.data}, {fabric.device.type}{threads}{processes}, "
            f"{recipe.loop.precision}, checkpoints in {args.output}"
        )
    trainer = make_trainer(
        recipe,
        args.recipe,
        Folder(args.data),
        args.output,
        fabric,
        options,
        args.resume,
        args.teacher_cache,
    )
    try:
        best = trainer.run()
    except KeyboardInterrupt:
        print(f"stopped at step {trainer.step}: --resume goes on from the last state", file=sys.stderr)
        raise
    if fabric.is_global_zero:
        print(f"the best checkpoint: {best}")
        pictures = trainer.task.picture_file
        print(f"curves: {args.output / 'curves.png'}   {Path(pictures).stem}: {args.output / pictures}")
        print(f"score it: asymfusion evaluate {best} --data {args.data}")
    return 0
