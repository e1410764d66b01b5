"""Rows as runs: each is trained and scored the same way, and done once."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.inspection.trace import on_meta
from asymfusion_ros.network import NetworkConfig
from asymfusion_training.ablation.claim import claimed
from asymfusion_training.ablation.outcome import FILE, Outcome, load_outcome, save_outcome
from asymfusion_training.ablation.setting import Setting
from asymfusion_training.evaluation.evaluate import check_labelled, with_progress
from asymfusion_training.evaluation.processes import Job
from asymfusion_training.evaluation.settings import Settings
from asymfusion_training.evaluation.tally import Tallies, summed
from asymfusion_training.loop.state import FILE as STATE
from asymfusion_training.loop.trainer import Run
from asymfusion_training.recipe import Recipe


@dataclass(frozen=True)
class Bench:
    """What all rows of a call have in common. split: the frames that are scored."""

    recipe: Recipe
    recipe_name: str
    data: Folder
    split: str
    scoring: Settings
    output: Path
    hold_frames: bool = False

    def folder(self, setting: Setting, seed: int) -> Path:
        return self.output / setting.name / f"seed{seed}"

    def made_from(self, setting: Setting, seed: int) -> dict[str, Any]:
        scored = self.data.names(self.split)
        data: dict[str, Any] = {"name": self.data.name, "split": self.split, "frames": len(scored)}
        data["classes"] = list(self.data.labels.names)
        # Rows are compared frame by frame, so they must be of the same ones.
        data["frames_trained"], data["frames_scored"] = _digest(self.data.names("train")), _digest(scored)
        if self.hold_frames:  # which filters them a little otherwise
            data["held"] = True
        return {
            "recipe": setting.recipe(self.recipe, seed).to_dict(),
            "data": data,
            "scoring": self.scoring.to_dict(),
        }

    def outcome(self, setting: Setting, seed: int) -> Outcome | None:
        """None where the row is not done."""
        return load_outcome(self.folder(setting, seed), self.made_from(setting, seed))

    def outcomes(self, setting: Setting) -> dict[int, Outcome]:
        """Of every seed that the row is done with."""
        found = {}
        for path in self.output.glob(f"{setting.name}/seed*/{FILE}"):
            number = path.parent.name.removeprefix("seed")
            outcome = self.outcome(setting, int(number)) if number.isdecimal() else None
            if outcome is not None:
                found[int(number)] = outcome
        return dict(sorted(found.items()))


def _digest(names: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def parameters(config: NetworkConfig) -> int:
    return sum(p.numel() for p in on_meta(config).parameters())


def make_row(
    bench: Bench, setting: Setting, seed: int, fabric: Fabric, options: Mapping[str, Any]
) -> Outcome | None:
    """Trains and scores the row, or goes on where it was interrupted; None where another call is at it.

    The last weights are scored: choosing an epoch by the frames that are scored would flatter every row.
    options: those of Run that no outcome depends on: workers, save_every.
    """
    folder = bench.folder(setting, seed)
    # The first process claims the row for all of them, and tells the others.
    with claimed(folder) if fabric.is_global_zero else nullcontext(True) as ours:
        if not fabric.broadcast(ours):
            return None
        outcome = bench.outcome(setting, seed)
        if not fabric.broadcast(outcome is None):  # made by another call in the meantime
            return outcome
        run = Run(
            setting.recipe(bench.recipe, seed),
            bench.recipe_name,
            bench.data,
            folder,
            fabric,
            resume=(folder / STATE).is_file(),
            hold_frames=bench.hold_frames,
            **options,
        )
        run.train()
        if fabric.is_global_zero:
            tallies = _score(bench, run.config, folder / "last.safetensors", fabric.device)
            outcome = Outcome(
                bench.made_from(setting, seed),
                {branch: tally.confusion.scores() for branch, tally in tallies.items()},
                parameters(run.config),
                run.minutes,
                machine(fabric),
                {branch: np.stack(tally.margins) for branch, tally in tallies.items()},
            )
            save_outcome(folder, outcome)
            # Three times the weights' size, and of no use to a row that is done.
            (folder / STATE).unlink(missing_ok=True)
        fabric.barrier()
        return bench.outcome(setting, seed)


def machine(fabric: Fabric) -> str:
    """What the minutes were measured on."""
    if fabric.device.type == "cuda":
        name = torch.cuda.get_device_name(fabric.device)
        return f"{fabric.world_size} x {name}" if fabric.world_size > 1 else name
    threads = fabric.world_size * torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def _score(bench: Bench, config: NetworkConfig, path: Path, device: torch.device) -> Tallies:
    names = bench.data.names(bench.split)
    job = Job(str(path), bench.data.root, config.modalities, bench.scoring)
    frames = job.scorer(device).frames(names)
    tallies = summed(with_progress(frames, len(names), sys.stderr.isatty()))
    check_labelled(tallies, bench.data)
    return tallies


def pending(bench: Bench, settings: Mapping[str, Setting], seeds: Sequence[int]) -> Iterator[tuple[str, int]]:
    """(row's key, seed) of what is not done, all rows with one seed before the next: a call that is cut short
    leaves whole tables."""
    for seed in seeds:
        for key, setting in settings.items():
            if bench.outcome(setting, seed) is None:
                yield key, seed
            else:  # left over where a call was killed just before it was done
                (bench.folder(setting, seed) / STATE).unlink(missing_ok=True)
