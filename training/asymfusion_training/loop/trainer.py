"""The training loop."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from asymfusion_ros.atomic_write import make_folder
from asymfusion_ros.checkpoint import DEFAULT, load_checkpoint, save_checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import SegmentationNetwork, build_network
from asymfusion_training.data.frames import Batch, BatchOrder, TrainingFrames, make_loader
from asymfusion_training.data.held_frames import HeldBatches, HeldFrames
from asymfusion_training.evaluation.evaluate import evaluate
from asymfusion_training.loop.history import History
from asymfusion_training.loop.optimiser import make_optimiser, set_rates
from asymfusion_training.loop.schedule import learning_rates
from asymfusion_training.loop.state import FILE, load_state, save_state
from asymfusion_training.recipe import Recipe
from asymfusion_training.tasks.segmentation.class_weights import class_weights
from asymfusion_training.tasks.segmentation.model import TrainingModel, left_alone, reseed
from asymfusion_training.tasks.segmentation.pictures import save_mask_picture
from asymfusion_training.weights.pretrained import load_imagenet
from asymfusion_training.weights.warm_start import start_from


class Run:
    """One training run in the folder ``output``: best and last checkpoint, history, state to resume from."""

    def __init__(
        self,
        recipe: Recipe,
        recipe_name: str,
        folder: Folder,
        output: Path,
        fabric: Fabric,
        workers: int = 1,
        resume: bool = False,
        save_every: float = 120.0,
        hold_frames: bool = False,
    ) -> None:
        """``save_every``: seconds between two savings of the state that ``resume`` goes on from.
        ``hold_frames``: all of ``train`` is decoded once and stays on the device.

        Raises UserError or ConfigError for whatever keeps the run from starting."""
        self.recipe, self.recipe_name, self.folder, self.output = recipe, recipe_name, folder, output
        self.fabric = fabric
        self.save_every = save_every
        self.spec = recipe.input_spec()
        self.config = recipe.network_config(len(folder.labels))
        self.val = folder.names("val")
        frames = TrainingFrames(folder, "train", recipe, self.spec)
        if len(frames) < recipe.batch:
            raise UserError(f"split 'train' has {len(frames)} frames, fewer than a batch of {recipe.batch}")
        self.data = {"name": folder.name, "classes": list(folder.labels.names), "frames": len(frames)}
        if hold_frames:
            self.data["held"] = True
        state = self._open_output(resume)
        self.step: int = state["step"] if state else 0
        self.best: float = state["best"] if state else -math.inf
        self.epoch_loss: float = state["epoch_loss"] if state else 0.0
        self.minutes: float = state["minutes"] if state else 0.0

        self.waited = 0.0  # seconds of this epoch that no frames were there

        torch.manual_seed(recipe.seed)
        network = build_network(self.config)
        if not state:
            self._start_weights(network)
        weights = None
        if recipe.class_balance:
            weights = class_weights(folder, "train", recipe.class_balance, self._watched())
        model = TrainingModel(network, recipe, weights, synced=fabric.world_size > 1)
        if recipe.channels_last:
            model = model.to(memory_format=torch.channels_last)
        if recipe.compile:
            network.compile()
        self.network = network
        self.model, self.optimiser = fabric.setup(model, make_optimiser(network, recipe))
        if recipe.ema and recipe.modality_dropout:
            for norm in model.norms():
                norm.begin_alone()
        self.averaged = (
            AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(recipe.ema), use_buffers=True)
            if recipe.ema
            else None
        )
        if state:
            self._restore(state)
        order = BatchOrder(len(frames), recipe, self.step, fabric.global_rank, fabric.world_size)
        self.steps_per_epoch = order.steps_per_epoch
        self.steps = order.steps_per_epoch * recipe.total_epochs
        self.loader: Iterable[Batch | UserError]
        if hold_frames:
            self.loader = HeldBatches(HeldFrames(frames, fabric.device, self._watched()), order)
        else:
            self.loader = make_loader(frames, order, workers, fabric.device.type == "cuda")
        self.history = History(output, self.step // self.steps_per_epoch) if fabric.is_global_zero else None

    def train(self) -> Path:
        """Trains on ``train``, scores on ``val``; returns the path of the best checkpoint.

        Raises UserError for a frame that cannot be read, when the loss stops being a number, naming the
        batch's files, and for a disk that is full; the checkpoints written so far stay.
        """
        batches = iter(self.loader)
        self.model.train()
        unchecked: tuple[Tensor, list[str]] | None = None
        began, spent = self.step, self.minutes
        started = saved = time.monotonic()
        with tqdm(total=self.steps, initial=began, unit="step", disable=not self._watched()) as bar:
            while self.step < self.steps:
                loss, names = self._training_step(batches)
                # The step before's: asking for this one's loss would make the processor wait for the GPU.
                self._check(unchecked)
                unchecked = loss, names
                self.step += 1
                self.minutes = spent + (time.monotonic() - started) / 60
                rate = (self.step - began) * self.recipe.batch / (60 * (self.minutes - spent))
                epoch, in_epoch = divmod(self.step, self.steps_per_epoch)
                bar.set_description(f"epoch {epoch + (in_epoch > 0)}/{self.recipe.total_epochs}", False)
                loss_so_far = self.epoch_loss / max((self.step - 1) % self.steps_per_epoch, 1)
                bar.set_postfix_str(f"loss {loss_so_far:.3f}, {rate:.1f} images/s", False)
                bar.update()
                save = time.monotonic() - saved >= self.save_every
                if in_epoch == 0 or save:
                    self._check(unchecked)
                    self._check_weights(names)
                    unchecked = None
                if in_epoch == 0:
                    save |= self._end_epoch(epoch, rate)
                if save:
                    self._save_state()
                    saved = time.monotonic()
        if self.history is not None:
            self.history.plot()
            self.history.close()
        return self.output / "best.safetensors"

    def _training_step(self, batches: Any) -> tuple[Tensor, list[str]]:
        """One optimiser step -> its mean loss, still on the device, and the frames it saw."""
        recipe, parts = self.recipe, self.recipe.accumulate
        set_rates(self.optimiser, *learning_rates(recipe, self.step, self.steps_per_epoch))
        reseed(recipe, self.step, self.fabric.global_rank)
        modalities = self.config.modalities
        alone = left_alone(recipe, len(modalities), self.step)
        total = torch.zeros((), device=self.fabric.device)
        names: list[str] = []
        self.optimiser.zero_grad(set_to_none=True)
        for part in range(parts):
            asked = time.monotonic()
            batch = next(batches)
            self.waited += time.monotonic() - asked
            if isinstance(batch, UserError):
                raise batch
            names += batch.names
            batch = batch.to(self.fabric.device)
            inputs: list[Tensor | None] = list(batch.inputs(modalities, self.spec, batch.label.shape[-2:]))
            if alone is not None:
                inputs = [x if i == alone else None for i, x in enumerate(inputs)]
            with self.fabric.no_backward_sync(self.model, enabled=part < parts - 1):
                loss = self.model(inputs, batch.label)
                self.fabric.backward(loss / parts)
            total += loss.detach() / parts
        self.fabric.clip_gradients(self.model, self.optimiser, max_norm=recipe.clip, error_if_nonfinite=False)
        self.optimiser.step()
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)
        return total, names

    def _check(self, unchecked: tuple[Tensor, list[str]] | None) -> None:
        if unchecked is None:
            return
        loss, names = unchecked
        value = loss.item()
        if not math.isfinite(value):
            raise UserError(
                f"the loss is {value} on frames {', '.join(names)}: look at these files, or lower "
                "encoder_rate and decoder_rate; the checkpoints written before are kept"
            )
        self.epoch_loss += value

    def _check_weights(self, names: list[str]) -> None:
        """Before anything is written: a loss can be a number whose gradients are none."""
        if not all(bool(p.isfinite().all()) for p in self.network.parameters()):
            raise UserError(
                f"the weights are no numbers after frames {', '.join(names)}: start again with lower "
                "encoder_rate and decoder_rate; the checkpoints written before are kept"
            )

    def _end_epoch(self, epoch: int, rate: float) -> bool:
        """Returns whether the epoch was scored, and so its checkpoints written."""
        total = self.recipe.total_epochs
        loss, self.epoch_loss = self.epoch_loss / self.steps_per_epoch, 0.0
        scores = None
        if epoch % self.recipe.validate_every == 0 or epoch == total:
            scores = self._validate()
        line = {"epoch": epoch, "loss": loss, "minutes": self.minutes, "images_per_second": rate}
        rates = learning_rates(self.recipe, self.step - 1, self.steps_per_epoch)
        line |= {"encoder_rate": rates[0], "decoder_rate": rates[1], "val": scores}
        line["seconds_waiting_for_frames"], self.waited = self.waited, 0.0
        text = f"epoch {epoch}/{total}: loss {loss:.3f}, {rate:.1f} images/s, {self.minutes:.1f} min"
        waiting = line["seconds_waiting_for_frames"] * rate / (self.steps_per_epoch * self.recipe.batch)
        if waiting > 0.1:
            text += f", {waiting:.0%} of it waiting for frames (more --workers may help)"
        if scores is not None:
            ious = ", ".join(f"{branch} {100 * score['mean_iou']:.2f}" for branch, score in scores.items())
            text += f", mIoU on val: {ious}"
        if self.history is not None:
            tqdm.write(text)
            self.history.add(line)
        if scores is not None:
            self._save_checkpoints(epoch, scores)
            if self.history is not None:
                self.history.plot()
        return scores is not None

    def _validate(self) -> dict[str, dict[str, float]]:
        """Every branch's scores on ``val``; each process scores its part of the frames."""
        rank, processes = self.fabric.global_rank, self.fabric.world_size
        network = self._scored()
        mine = self.val[rank::processes]
        matrices = {
            branch: ConfusionMatrix(self.config.classes) for branch in (*self.config.modalities, "ensemble")
        }
        if mine:
            matrices = evaluate(network, self.spec, self.folder, mine, progress=self._watched())
        for matrix in matrices.values():
            counts = matrix.counts.to(self.fabric.device)
            matrix.counts = self.fabric.all_reduce(counts, reduce_op="sum").cpu()
        if self.history is not None:
            picture = save_mask_picture(
                self.output / "masks.png", network, self.spec, self.folder, self.val[:4]
            )
            epoch = self.step // self.steps_per_epoch
            self.history.board.add_image("val", picture, epoch, dataformats="HWC")
        self.model.train()
        return {branch: matrix.scores() for branch, matrix in matrices.items()}

    def _scored(self) -> SegmentationNetwork:
        """The network whose scores count and which is kept: the averaged weights where there are any."""
        return self.network if self.averaged is None else self.averaged.module

    def _save_checkpoints(self, epoch: int, scores: dict[str, dict[str, float]]) -> None:
        better = scores["ensemble"]["mean_iou"] > self.best
        self.best = max(self.best, scores["ensemble"]["mean_iou"])
        if not self.fabric.is_global_zero:
            return
        provenance = {
            "data": self.folder.name,
            "recipe": self.recipe_name,
            "settings": self.recipe.to_dict(),
            "frames": self.data["frames"],
            "epochs": epoch,
            "seed": self.recipe.seed,
            "val": scores,
        }
        for name in ("last", "best") if better else ("last",):
            save_checkpoint(
                self.output / f"{name}.safetensors",
                self._scored().state_dict(),
                self.config,
                self.folder.labels,
                self.spec,
                provenance,
                torch.float16,
            )

    def _start_weights(self, network: SegmentationNetwork) -> None:
        source = self.recipe.pretrained
        if source == DEFAULT or source.endswith(".safetensors"):
            line = start_from(network, self.folder.labels, load_checkpoint(source))
            if self.fabric.is_global_zero:
                print(line)
        elif source != "none":
            load_imagenet(network, source)

    def _open_output(self, resume: bool) -> dict[str, Any] | None:
        """The state to resume from; None for a new run."""
        if resume:
            return load_state(self.output, self.recipe.to_dict(), self.data)
        if (self.output / FILE).exists():
            raise UserError(
                f"{self.output} already holds a run: go on with it by --resume, or give another --output"
            )
        make_folder(self.output)
        return None

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
                "epoch_loss": self.epoch_loss,
                "minutes": self.minutes,
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "averaged": self.averaged.state_dict() if self.averaged is not None else None,
                "precision": self.fabric.strategy.precision.state_dict(),
            },
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])

    def _watched(self) -> bool:
        """Whether a progress bar is of use: in the first process, where somebody looks at a terminal."""
        return self.fabric.is_global_zero and sys.stderr.isatty()
