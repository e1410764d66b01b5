"""Rows as runs: each is trained and scored the same way, and done once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from lightning_fabric import Fabric

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.errors import UserError
from asymfusion_ros.inspection.trace import on_meta
from asymfusion_ros.network import NetworkConfig
from asymfusion_training.ablation.outcome import FILE, Outcome, load_outcome, save_outcome
from asymfusion_training.ablation.variant import Variant
from asymfusion_training.evaluation.evaluate import check_labelled
from asymfusion_training.evaluation.job import Job, run_jobs
from asymfusion_training.evaluation.scoring_settings import ScoringSettings
from asymfusion_training.evaluation.translation_scores import translation_scores
from asymfusion_training.folder_lock import locked
from asymfusion_training.loop.state import FILE as STATE
from asymfusion_training.loop.trainer import RunOptions
from asymfusion_training.recipe import Recipe
from asymfusion_training.run import make_trainer


@dataclass(frozen=True)
class Comparison:
    """What all rows of a call have in common. split: the frames that are scored. inception: the weights of
    FID and KID, where the scoring has them."""

    recipe: Recipe
    recipe_name: str
    data: Folder
    split: str
    scoring: ScoringSettings | ImageScoring
    output: Path
    hold_frames: bool = False
    inception: Path | None = None

    def folder(self, variant: Variant, seed: int) -> Path:
        """Where a row's run is."""
        return self.output / variant.name / f"seed{seed}"

    def made_from(self, variant: Variant, seed: int) -> dict[str, Any]:
        """What a row's outcome depends on: another call must have the same."""
        scored = self.data.names(self.split)
        data: dict[str, Any] = {"name": self.data.name, "split": self.split, "frames": len(scored)}
        if not self.recipe.translates:
            data["classes"] = list(self.data.labels.names)
        # Rows are compared frame by frame, so they must be of the same ones.
        data["frames_trained"], data["frames_scored"] = (
            _digest(self.data.names(self.recipe.data.train_split)),
            _digest(scored),
        )
        if self.hold_frames:  # which filters them a little otherwise
            data["held"] = True
        return {
            "recipe": variant.recipe(self.recipe, seed).to_dict(),
            "data": data,
            "scoring": self.scoring.to_dict(),
        }

    def outcome(self, variant: Variant, seed: int) -> Outcome | None:
        """None where the row is not done."""
        return load_outcome(self.folder(variant, seed), self.made_from(variant, seed))

    def outcomes(self, variant: Variant) -> dict[int, Outcome]:
        """Of every seed that the row is done with."""
        found = {}
        for path in self.output.glob(f"{variant.name}/seed*/{FILE}"):
            number = path.parent.name.removeprefix("seed")
            outcome = self.outcome(variant, int(number)) if number.isdecimal() else None
            if outcome is not None:
                found[int(number)] = outcome
        return dict(sorted(found.items()))


@dataclass(frozen=True)
class ImageScoring:
    """How the rows of image translation are scored: ``scores`` of IMAGE_SCORES and INCEPTION_SCORES."""

    scores: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"scores": list(self.scores)}

    def __str__(self) -> str:
        return ", ".join(self.scores)


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def parameters(config: NetworkConfig) -> int:
    """How many numbers the network learns."""
    return sum(p.numel() for p in on_meta(config).parameters())


def make_row(
    comparison: Comparison, variant: Variant, seed: int, fabric: Fabric, options: RunOptions
) -> Outcome | None:
    """Trains and scores the row, or goes on where it was interrupted; None where another process has it.

    The last weights are scored: choosing an epoch by the frames that are scored would flatter every row.
    """
    folder = comparison.folder(variant, seed)
    # The first process takes the lock for all of them, and tells the others.
    with locked(folder) if fabric.is_global_zero else nullcontext(True) as ours:
        if not fabric.broadcast(ours):
            return None
        outcome = comparison.outcome(variant, seed)
        if not fabric.broadcast(outcome is None):  # made by another process in the meantime
            return outcome
        recipe = variant.recipe(comparison.recipe, seed)
        trainer = make_trainer(
            recipe,
            comparison.recipe_name,
            comparison.data,
            folder,
            fabric,
            options,
            resume=fabric.broadcast((folder / STATE).is_file()),
        )
        trainer.run()
        fabric.barrier()  # the first process has written the checkpoint
        last = folder / "last.safetensors"
        scores, margins = (_image_scores if recipe.translates else _scores)(comparison, recipe, last, fabric)
        if fabric.is_global_zero:
            outcome = Outcome(
                comparison.made_from(variant, seed),
                scores,
                parameters(trained_config(recipe, comparison.data)),
                trainer.minutes,
                machine(fabric),
                margins,
            )
            save_outcome(folder, outcome)
            # Three times the weights' size, and of no use to a row that is done.
            (folder / STATE).unlink(missing_ok=True)
        fabric.barrier()
        return comparison.outcome(variant, seed)


def machine(fabric: Fabric) -> str:
    """What the minutes were measured on."""
    if fabric.device.type == "cuda":
        name = torch.cuda.get_device_name(fabric.device)
        return f"{fabric.world_size} x {name}" if fabric.world_size > 1 else name
    threads = fabric.world_size * torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def trained_config(recipe: Recipe, data: Folder) -> NetworkConfig:
    """The network that a recipe makes of the data."""
    return recipe.network_config(None if recipe.translates else len(data.labels))


Scored = tuple[dict[str, dict[str, float]], Mapping[str, npt.NDArray[Any]]]  # scores and margins by output


def _image_scores(comparison: Comparison, recipe: Recipe, path: Path, fabric: Fabric) -> Scored:
    """The first process makes the images; the others wait for it to write the outcome."""
    if not fabric.is_global_zero:
        return {}, {}
    checkpoint, names = load_checkpoint(path), comparison.data.names(comparison.split)
    assert isinstance(comparison.scoring, ImageScoring)
    found = translation_scores(
        checkpoint,
        comparison.data,
        names,
        checkpoint.config.modalities,
        comparison.scoring.scores,
        comparison.inception,
        str(fabric.device),
    )
    return found.means(), found.values


def _scores(comparison: Comparison, recipe: Recipe, path: Path, fabric: Fabric) -> Scored:
    names = comparison.data.names(comparison.split)
    config = trained_config(recipe, comparison.data)
    assert isinstance(comparison.scoring, ScoringSettings)
    job = Job(str(path), comparison.data.root, config.modalities, comparison.scoring)
    found = run_jobs(fabric, [job], names)
    if isinstance(found, UserError):
        raise found
    scores = found[0].scores()
    check_labelled(scores, comparison.data)
    return (
        {output: counts.confusion.scores() for output, counts in scores.items()},
        {output: counts.margins for output, counts in scores.items()},
    )


def pending(
    comparison: Comparison, variants: Mapping[str, Variant], seeds: Sequence[int]
) -> Iterator[tuple[str, int]]:
    """(row's key, seed) of what is not done, all rows with one seed before the next: a call that is cut short
    leaves whole tables."""
    for seed in seeds:
        for key, variant in variants.items():
            if comparison.outcome(variant, seed) is None:
                yield key, seed
            else:  # left over where a call was killed just before it was done
                (comparison.folder(variant, seed) / STATE).unlink(missing_ok=True)
