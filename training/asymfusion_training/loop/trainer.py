"""The training loop, whatever the task."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.colouring import png
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.batch import Batch
from asymfusion_training.data.batch_sampler import BatchSampler
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.data.held_frames import HeldBatches, HeldFrames
from asymfusion_training.loop.devices import check_same_frames
from asymfusion_training.loop.history import History
from asymfusion_training.loop.meters import EpochTimer, LossMeter
from asymfusion_training.loop.optimiser import set_rates
from asymfusion_training.loop.schedule import learning_rates
from asymfusion_training.loop.settings import RunRecipe
from asymfusion_training.loop.state import FILE, load_state, restoring, save_state
from asymfusion_training.tasks.base import Scores, Task

PICTURED = 4  # frames in the task's picture
SLOW = 0.1  # of the time spent waiting for frames is worth a word


@dataclass(frozen=True)
class RunOptions:
    """How a run is made, which its outcome does not depend on, but for the last.

    workers: processes that read frames. save_every: seconds between two savings of the state that a resumed
    run goes on from. hold_frames: decode all training frames once and keep them on the device.
    """

    workers: int = 1
    save_every: float = 120.0
    hold_frames: bool = False


class Trainer:
    """One run in the folder ``output``: best and last checkpoint, history, state to resume from.

    step: optimiser steps done. minutes: spent on them, scoring included.
    """

    def __init__(
        self,
        task: Task,
        recipe: RunRecipe,
        recipe_name: str,
        output: Path,
        fabric: Fabric,
        options: RunOptions,
        resume: bool = False,
    ) -> None:
        """Raises UserError or ConfigError for whatever keeps the run from starting."""
        self.task, self.recipe, self.recipe_name = task, recipe, recipe_name
        self.settings, self.output, self.fabric, self.options = recipe.loop, output, fabric, options
        frames = task.frames()
        if len(frames) < self.settings.batch:
            raise UserError(
                f"split {frames.split!r} has {len(frames)} frames, fewer than a batch of "
                f"{self.settings.batch}"
            )
        self.data = {**task.data, "frames": len(frames)} | ({"held": True} if options.hold_frames else {})
        state = self._open_output(resume)
        self.step: int = state.get("step", 0)
        self.best: float = state.get("best", -math.inf)
        self.minutes: float = state.get("minutes", 0.0)
        self.loss = LossMeter(state.get("epoch_loss", 0.0), state.get("epoch_parts"))
        self.timer = EpochTimer()
        if not state and (line := task.start()) and fabric.is_global_zero:
            print(line)
        self._prepare(state)
        sampler = BatchSampler(len(frames), self.settings, self.step, fabric.global_rank, fabric.world_size)
        self.steps_per_epoch = sampler.steps_per_epoch
        self.steps = self.steps_per_epoch * self.settings.total_epochs
        self.loader: Iterable[Batch | UserError]
        check_same_frames(fabric, frames)
        if options.hold_frames:
            if not isinstance(frames, TrainingFrames):
                raise ConfigError(
                    f"split {frames.split!r} is in shards, which are not held: leave --hold-frames out"
                )
            self.loader = HeldBatches(HeldFrames(frames, fabric.device, self._watched()), sampler)
        else:
            self.loader = frames.loader(sampler, options.workers, fabric.device.type == "cuda")
        self.history = (
            History(output, task.goal, self.step // self.steps_per_epoch) if fabric.is_global_zero else None
        )

    def run(self) -> Path:
        """Trains and scores; returns the path of the best checkpoint.

        Raises UserError for a frame that cannot be read, when the loss stops being a number, naming the
        batch's files, and for a disk that is full; the checkpoints written so far stay.
        """
        batches = iter(self.loader)
        spent, began, saved = self.minutes, time.monotonic(), time.monotonic()
        for model in self.models:
            model.train()
        with self._progress_bar() as bar:
            while self.step < self.steps:
                with self.timer.step(self.settings.batch):
                    loss, parts, names = self._training_step(batches)
                    self.loss.add(loss, names, parts)
                    self.step += 1
                    epoch_ends = self.step % self.steps_per_epoch == 0
                    save = epoch_ends or time.monotonic() - saved >= self.options.save_every
                    if save:
                        self._check_weights(names)
                self.minutes = spent + (time.monotonic() - began) / 60
                self._show_progress(bar)
                if epoch_ends:
                    save = self._end_epoch() or time.monotonic() - saved >= self.options.save_every
                if save:
                    self._save_state()
                    saved = time.monotonic()
        if self.history is not None:
            self.history.plot()
            self.history.close()
        best = self.output / "best.safetensors"
        if self.fabric.is_global_zero:
            line = self.task.finish(best, self.fabric.device, self._watched())
            if line:
                print(line)
        self.fabric.barrier()
        return best

    def _training_step(
        self, batches: Iterator[Batch | UserError]
    ) -> tuple[Tensor, dict[str, Tensor], list[str]]:
        """One step of every objective -> their mean loss and its parts, still on the device; the frames."""
        rates = learning_rates(self.settings, self.step, self.steps_per_epoch)
        self._seed_step()
        parts = [self._next(batches) for _ in range(self.settings.accumulate)]
        total = torch.zeros((), device=self.fabric.device)
        told: dict[str, Tensor] = {}
        for model, optimiser in zip(self.models, self.optimisers):
            set_rates(optimiser, *rates)
            optimiser.zero_grad(set_to_none=True)
            for number, part in enumerate(parts, 1):
                inputs = self.task.inputs(part.to(self.fabric.device), self.step)
                with self.fabric.no_backward_sync(model, enabled=number < len(parts)):
                    found = model(*inputs)
                    loss, shares = found if isinstance(found, tuple) else (found, {})
                    self.fabric.backward(loss / len(parts))
                total += loss.detach() / len(parts)
                for name, share in shares.items():
                    told[name] = told.get(name, 0) + share.detach() / len(parts)
            self.fabric.clip_gradients(
                model, optimiser, max_norm=self.settings.clip, error_if_nonfinite=False
            )
            optimiser.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.task.network)
        return total, told, [name for part in parts for name in part.names]

    def _next(self, batches: Iterator[Batch | UserError]) -> Batch:
        with self.timer.wait():
            batch = next(batches)
        if isinstance(batch, UserError):
            raise batch
        return batch

    def _seed_step(self) -> None:
        """A step's dropout is a function of seed, step and process: resuming needs no state of it."""
        sequence = np.random.SeedSequence((self.settings.seed, self.step, self.fabric.global_rank))
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))

    def _check_weights(self, names: list[str]) -> None:
        """Before anything is written: a loss can be a number whose gradients are none."""
        self.loss.settle()
        if not all(bool(p.isfinite().all()) for p in self.task.network.parameters()):
            raise UserError(
                f"the weights are not numbers after frames {', '.join(names)}: start again with lower "
                "encoder_lr and decoder_lr; the checkpoints written before are kept"
            )

    def _end_epoch(self) -> bool:
        """Writes the epoch down; returns whether it was scored, and so its checkpoints written."""
        epoch, total = self.step // self.steps_per_epoch, self.settings.total_epochs
        scored = epoch % self.settings.validate_every == 0 or epoch == total
        scores = self._validate(epoch) if scored else None
        encoder_lr, decoder_lr = learning_rates(self.settings, self.step - 1, self.steps_per_epoch)
        shares = {name: value / self.steps_per_epoch for name, value in self.loss.parts.items()}
        line = {
            "epoch": epoch,
            "loss": self.loss.restart() / self.steps_per_epoch,
            **shares,
            "minutes": self.minutes,
            "images_per_second": self.timer.images_per_second,
            "seconds_waiting_for_frames": self.timer.waiting,
            "encoder_lr": encoder_lr,
            "decoder_lr": decoder_lr,
            "val": scores,
        }
        if self.history is not None:
            tqdm.write(self._told(line))
            self.history.add(line)
        self.timer.restart()
        if scores is not None:
            self._save_checkpoints(epoch, scores)
        return scored

    def _told(self, line: dict[str, Any]) -> str:
        """An epoch's line of the history, for people."""
        text = (
            f"epoch {line['epoch']}/{self.settings.total_epochs}: loss {line['loss']:.3f}, "
            f"{line['images_per_second']:.1f} images/s, {line['minutes']:.1f} min"
        )
        if self.timer.waiting_share > SLOW:
            text += (
                f", {self.timer.waiting_share:.0%} of the steps' time waiting for frames "
                "(more --workers may help)"
            )
        if line["val"] is not None:
            goal = self.task.goal
            found = [f"{output} {100 * score[goal.metric]:.2f}" for output, score in line["val"].items()]
            text += f", {goal.title} on val in %: {', '.join(found)}"
        return text

    def _validate(self, epoch: int) -> Scores:
        """The scores of the split ``val``, of which each process scores its part of the frames."""
        names = self.task.scored_frames()
        mine = names[self.fabric.global_rank :: self.fabric.world_size]
        network = self._scored()
        counts = {}
        for output, own in self.task.evaluate(network, mine, self._watched()).items():
            whole = self.fabric.all_reduce(own.to(self.fabric.device), reduce_op="sum")
            assert isinstance(whole, Tensor)
            counts[output] = whole.cpu()
        if self.history is not None:
            picture = self.task.picture(network, names[:PICTURED])
            write_whole(self.output / self.task.picture_file, png(picture))
            self.history.add_picture(epoch, picture)
        for model in self.models:
            model.train()
        return self.task.scores(counts)

    def _scored(self) -> nn.Module:
        """The network whose scores count and which is kept: the averaged weights where there are any."""
        return self.task.network if self.averaged is None else self.averaged.module

    def _save_checkpoints(self, epoch: int, scores: Scores) -> None:
        goal = self.task.goal
        reached = scores[goal.output][goal.metric]
        better, self.best = reached > self.best, max(self.best, reached)
        if self.history is None:
            return
        provenance = {
            "data": self.data["name"],
            "recipe": self.recipe_name,
            "settings": self.recipe.to_dict(),
            "frames": self.data["frames"],
            "epochs": epoch,
            "seed": self.settings.seed,
            "val": scores,
        }
        for name in ("last", "best") if better else ("last",):
            self.task.save(self.output / f"{name}.safetensors", self._scored(), provenance)
        self.history.plot()

    def _open_output(self, resume: bool) -> dict[str, Any]:
        """The state to resume from; empty for a new run."""
        if resume:
            return load_state(self.output, self.recipe, self.data)
        if (self.output / FILE).exists():
            raise UserError(
                f"{self.output} already holds a run: go on with it by --resume, or give another --output"
            )
        make_folder(self.output)
        return {}

    def _prepare(self, state: dict[str, Any]) -> None:
        """Models, optimisers and averaged weights on the device, as ``state`` has them where there is one."""
        network = self.task.network
        self.models: list[Any] = []  # wrapped by Fabric
        self.optimisers: list[torch.optim.Optimizer] = []
        for model, optimiser in self.task.objectives(self.fabric.world_size):
            if self.settings.channels_last:
                model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            wrapped, own = self.fabric.setup(model, optimiser)
            self.models.append(wrapped)
            self.optimisers.append(own)
        if self.settings.compile:
            network.compile()
        average = get_ema_multi_avg_fn(self.settings.ema)
        self.averaged = (
            AveragedModel(network, multi_avg_fn=average, use_buffers=True) if self.settings.ema else None
        )
        if not state:
            return
        with restoring(self.output):
            network.load_state_dict(state["network"])
            for own, stored in zip(self.optimisers, state["optimiser"], strict=True):
                own.load_state_dict(stored)
            if self.averaged is not None:
                self.averaged.load_state_dict(state["averaged"])
            self.fabric.strategy.precision.load_state_dict(state["precision"])

    def _save_state(self) -> None:
        if not self.fabric.is_global_zero:
            return
        save_state(
            self.output,
            {
                "recipe": self.recipe.to_dict(),
                "data": self.data,
                "step": self.step,
                "best": self.best,
                "epoch_loss": self.loss.total,
                "epoch_parts": self.loss.parts,
                "minutes": self.minutes,
                "network": self.task.network.state_dict(),
                "optimiser": [optimiser.state_dict() for optimiser in self.optimisers],
                "averaged": self.averaged.state_dict() if self.averaged is not None else None,
                "precision": self.fabric.strategy.precision.state_dict(),
            },
        )

    def _progress_bar(self) -> Any:
        return tqdm(total=self.steps, initial=self.step, unit="step", disable=not self._watched())

    def _show_progress(self, bar: Any) -> None:
        epoch, in_epoch = divmod(self.step, self.steps_per_epoch)
        bar.set_description(f"epoch {epoch + (in_epoch > 0)}/{self.settings.total_epochs}", False)
        mean = self.loss.total / max((self.step - 1) % self.steps_per_epoch, 1)
        bar.set_postfix_str(f"loss {mean:.3f}, {self.timer.images_per_second:.1f} images/s", False)
        bar.update()

    def _watched(self) -> bool:
        """Whether a progress bar is of use: in the first process, where somebody looks at a terminal."""
        return self.fabric.is_global_zero and sys.stderr.isatty()
