"""A recipe and a folder of frames, ready to be trained."""

from __future__ import annotations

from pathlib import Path

from lightning_fabric import Fabric

from asymfusion_ros.data.folder import Folder
from asymfusion_training.loop.devices import make_fabric
from asymfusion_training.loop.trainer import RunOptions, Trainer
from asymfusion_training.recipe import Recipe
from asymfusion_training.tasks.base import Task
from asymfusion_training.tasks.modality_dropout import leaves_parameters_out
from asymfusion_training.tasks.segmentation.task import SegmentationTask
from asymfusion_training.tasks.segmentation.teachers import Teachers
from asymfusion_training.tasks.translation.task import TranslationTask


def training_fabric(recipes: list[Recipe], device: str, devices: int) -> Fabric:
    """The processes for runs of these recipes, which share a precision, not launched yet."""
    left_out = any(_leaves_out(recipe) for recipe in recipes)
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
    task = _task(recipe, folder, output, fabric, teacher_cache)
    return Trainer(task, recipe, recipe_name, output, fabric, options, resume)


def _leaves_out(recipe: Recipe) -> bool:
    config = recipe.network_config()
    if not recipe.translates:
        return leaves_parameters_out(config, recipe.task.modality_dropout)
    settings = recipe.translation
    return settings.ensemble_loss == "none" or leaves_parameters_out(config, settings.domain_dropout)


def _task(recipe: Recipe, folder: Folder, output: Path, fabric: Fabric, teacher_cache: Path | None) -> Task:
    spec = recipe.input_spec()
    if recipe.translates:
        config = recipe.network_config()
        return TranslationTask(recipe.translation, config, spec, recipe.data, recipe.loop, folder)
    config, teachers = recipe.network_config(len(folder.labels)), None
    if recipe.task.teachers:
        cache = teacher_cache or output / "teachers"
        teachers = Teachers(recipe.task, folder, folder.names(recipe.data.train_split), spec, cache, fabric)
    return SegmentationTask(recipe.task, config, spec, recipe.data, recipe.loop, folder, teachers)
