"""The training loop."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from asymfusion_ros.checkpoint import save_checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import SegmentationNetwork, build_network
from asymfusion_ros.network.modality import PrivateBatchNorm2d
from asymfusion_training.evaluate import evaluate
from asymfusion_training.frames import Batch, TrainingFrames
from asymfusion_training.losses import segmentation_loss
from asymfusion_training.pretrained import load_imagenet
from asymfusion_training.recipe import Recipe

START_SHARE, END_SHARE = 1 / 25, 1e-5


def train(
    recipe: Recipe, recipe_name: str, folder: Folder, output: Path, device: torch.device, workers: int
) -> Path:
    """Trains on the split ``train``, scores on ``val`` and keeps the best and the last.

    Returns the path of the best checkpoint. Raises UserError for a frame that cannot be read, and when the
    loss stops being a number, naming the batch's files; the checkpoints written so far stay.
    """
    torch.manual_seed(recipe.seed)
    spec = recipe.input_spec()
    config = recipe.network_config(len(folder.labels))
    network = build_network(config)
    if recipe.pretrained != "none":
        load_imagenet(network, recipe.pretrained)
    for module in network.modules():
        if isinstance(module, PrivateBatchNorm2d):
            module.momentum = recipe.norm_momentum
    network.to(device, memory_format=torch.channels_last)
    frames = TrainingFrames(folder, "train", recipe, spec)
    val = folder.names("val")
    if len(frames) < recipe.batch:
        raise UserError(f"split 'train' has {len(frames)} frames, fewer than a batch of {recipe.batch}")
    loader = DataLoader(
        frames, recipe.batch, shuffle=True, drop_last=True, num_workers=workers, collate_fn=_as_it_is
    )
    optimiser = torch.optim.AdamW(parameter_groups(network, recipe))
    steps = recipe.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: rate_share(step, steps, recipe.warm_up)
    )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {output}: {error.strerror}") from error
    (output / "history.jsonl").unlink(missing_ok=True)  # of an earlier run in the same folder
    best = -math.inf
    started = time.monotonic()
    for epoch in range(recipe.epochs):
        frames.epoch = epoch
        network.train()
        total = 0.0
        with tqdm(loader, desc=f"epoch {epoch + 1}/{recipe.epochs}", unit="batch", leave=False) as bar:
            for step, batch in enumerate(bar):
                if isinstance(batch, UserError):
                    raise batch
                loss = training_step(network, batch, recipe, spec, device)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 10.0)
                optimiser.step()
                schedule.step()
                total += loss.item()
                bar.set_postfix(loss=f"{total / (step + 1):.3f}")
        if (epoch + 1) % recipe.validate_every and epoch + 1 < recipe.epochs:
            continue
        scores = {branch: matrix.scores() for branch, matrix in evaluate(network, spec, folder, val).items()}
        line = {"epoch": epoch + 1, "loss": total / len(loader), "minutes": (time.monotonic() - started) / 60}
        ious = {branch: round(100 * score["mean_iou"], 2) for branch, score in scores.items()}
        tqdm.write(
            f"epoch {epoch + 1}: loss {line['loss']:.3f}, mIoU on val {ious}, {line['minutes']:.1f} min"
        )
        with (output / "history.jsonl").open("a") as history:
            history.write(json.dumps({**line, "val": scores}) + "\n")
        provenance = {
            "data": folder.name,
            "recipe": recipe_name,
            "epochs": epoch + 1,
            "seed": recipe.seed,
            "val": scores,
        }
        targets = [output / "last.safetensors"]
        if scores["ensemble"]["mean_iou"] > best:
            best = scores["ensemble"]["mean_iou"]
            targets.append(output / "best.safetensors")
        for target in targets:
            save_checkpoint(
                target, network.state_dict(), config, folder.labels, spec, provenance, torch.float16
            )
    return output / "best.safetensors"


def _as_it_is(batch: Batch | UserError) -> Batch | UserError:
    """TrainingFrames gives whole batches already."""
    return batch


def training_step(
    network: SegmentationNetwork, batch: Batch, recipe: Recipe, spec: InputSpec, device: torch.device
) -> Tensor:
    """The loss of one batch, with a modality left out now and then."""
    modalities = network.config.modalities
    inputs: list[Tensor | None] = [
        x.to(device, memory_format=torch.channels_last, non_blocking=True)
        for x in batch.inputs(modalities, spec, batch.label.shape[-2:])
    ]
    if len(modalities) > 1 and torch.rand(()) < recipe.modality_dropout:
        inputs[int(torch.randint(len(modalities), ()))] = None
    output = network(inputs)
    loss = segmentation_loss(network, output, batch.label.to(device), recipe.distillation)
    if not torch.isfinite(loss):
        raise UserError(
            f"the loss is {loss.item()} on frames {', '.join(batch.names)}: look at these files, or lower "
            "encoder_rate and decoder_rate; the last checkpoints are kept"
        )
    return loss


def rate_share(step: int, steps: int, warm_up: float) -> float:
    """The one-cycle schedule: the share of the peak rate at ``step`` of ``steps``.

    A cosine from 1/25 up to 1 over the share ``warm_up`` of the steps, and one down to nearly nothing over
    the rest (Smith and Topin 2018; torch's own class divides by zero when the warm-up is a single step).
    """
    rise = max(warm_up * steps, 1.0)
    if step < rise:
        return 1 + (START_SHARE - 1) * (1 + math.cos(math.pi * step / rise)) / 2
    fall = (step - rise) / max(steps - rise, 1.0)
    return END_SHARE + (1 - END_SHARE) * (1 + math.cos(math.pi * min(fall, 1.0))) / 2


def parameter_groups(network: SegmentationNetwork, recipe: Recipe) -> list[dict[str, object]]:
    """Encoder and the rest at their own rates; norms, biases and alpha without weight decay."""
    groups = []
    for rate, parameters in (
        (recipe.encoder_rate, list(network.encoder.named_parameters())),
        (
            recipe.decoder_rate,
            [*network.decoder.named_parameters(), *network.ensemble.named_parameters()],
        ),
    ):
        # Convolutions alone have four axes: the norms are S x C.
        groups += [
            {
                "params": [p for _, p in parameters if p.ndim == 4],
                "lr": rate,
                "weight_decay": recipe.weight_decay,
            },
            {"params": [p for _, p in parameters if p.ndim < 4], "lr": rate, "weight_decay": 0.0},
        ]
    return groups
