"""A recipe and a folder of frames, ready to be trained."""

from __future__ import annotations

from pathlib import Path

from lightning_fabric import Fabric

from asymfusion_ros.data.folder import Folder
from asymfusion_training.loop.devices import make_fabric
from asymfusion_training.loop.trainer import RunOptions, Trainer
from asymfusion_training.recipe import Recipe
from asymfusion_training.tasks.segmentation.modality_dropout import leaves_parameters_out
from asymfusion_training.tasks.segmentation.task import SegmentationTask
from asymfusion_training.tasks.segmentation.teachers import Teachers


def training_fabric(recipes: list[Recipe], device: str, devices: int) -> Fabric:
    """The processes for runs of these recipes, which share a precision, not launched yet."""
    left_out = any(
        leaves_parameters_out(recipe.network_config(), recipe.task.modality_dropout) for recipe in recipes
    )
    return make_fabric(device, devices, recipes[0].loop.precision, left_out)


def make_trainer(
    recipe: Recipe,
    recipe_name: str,
    folder: Folder,
    output: Path,
    fabric: Fabric,
    options: RunOptions,
    resume: bool = False,
    teacher_cache: Path | None = None,
) -> Trainer:
    """teacher_cache: the folder of what the recipe's teachers make of the frames, None for ``teachers`` in
    ``output``. Raises UserError or ConfigError for whatever keeps the run from starting."""
    config, spec = recipe.network_config(len(folder.labels)), recipe.input_spec()
    teachers = None
    if recipe.task.teachers:
        cache = teacher_cache or output / "teachers"
        teachers = Teachers(recipe.task, folder, folder.names(recipe.data.train_split), spec, cache, fabric)
    task = SegmentationTask(recipe.task, config, spec, recipe.data, recipe.loop, folder, teachers)
    return Trainer(task, recipe, recipe_name, output, fabric, options, resume)
