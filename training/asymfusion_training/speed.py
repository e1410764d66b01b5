"""How fast training is, as a ratio: `python -m asymfusion_training.speed --help`.

Compares steps of a recipe as `asymfusion train` makes them with a plain loop over the same network and
the same frames: eager, float32, torch's default layout and the default allocator. Each variant runs in
processes of its own, in turns, so that what else the machine does meets them alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from asymfusion_ros.engine.allocator import keep_freed_memory
from asymfusion_ros.network import SegmentationNetwork, build_network
from asymfusion_training.loop.devices import make_fabric
from asymfusion_training.loop.optimiser import make_optimiser
from asymfusion_training.recipe import Recipe, load_recipe
from asymfusion_training.tasks.segmentation.losses import segmentation_loss
from asymfusion_training.tasks.segmentation.model import TrainingModel

CLASSES = 40


def main() -> int:
    """Runs each variant in processes of its own, in turns."""
    parser = argparse.ArgumentParser(
        prog="python -m asymfusion_training.speed",
        description="Time training steps against a plain eager float32 loop over the same network.",
        epilog="example: python -m asymfusion_training.speed --set precision=bf16",
    )
    parser.add_argument("--recipe", default="nyudv2_efficientnet_lite0")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--steps", type=int, default=8, help="timed steps of a turn (default: 8)")
    parser.add_argument("--turns", type=int, default=3, help="turns of each variant (default: 3)")
    parser.add_argument("--variant", choices=("plain", "ours"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.variant:
        recipe = load_recipe(args.recipe, args.set)
        step = {"plain": plain_step, "ours": our_step}[args.variant](recipe, args.device)
        print(json.dumps(timed(step, args.steps, torch.cuda.is_available() and args.device != "cpu")))
        return 0
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    for turn in range(args.turns):
        for variant, found in seconds.items():
            command = [
                sys.executable,
                "-m",
                "asymfusion_training.speed",
                *sys.argv[1:],
                "--variant",
                variant,
            ]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found += json.loads(done.stdout.splitlines()[-1])
            print(
                f"turn {turn + 1}/{args.turns}, {variant}: {statistics.median(found):.3f} s a step",
                flush=True,
            )
    plain, ours = (statistics.median(found) for found in seconds.values())
    batch = load_recipe(args.recipe, args.set).loop.batch
    print(
        f"plain: {batch / plain:.2f} images/s; asymfusion train: {batch / ours:.2f}; {plain / ours:.2f} times"
    )
    return 0


def frames(recipe: Recipe) -> tuple[list[Tensor], Tensor]:
    """The same random inputs and labels for either variant."""
    spec = recipe.input_spec()
    size = recipe.data.crop or (spec.height, spec.width)
    torch.manual_seed(0)
    count = len(recipe.network_config(CLASSES).modalities)
    inputs = [torch.randn(recipe.loop.batch, 3, *size) for _ in range(count)]
    return inputs, torch.randint(CLASSES, (recipe.loop.batch, *size), dtype=torch.uint8)


def _optimiser(network: SegmentationNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    decoder = [*network.decoder.parameters(), *network.ensemble.parameters()]
    return make_optimiser(network.encoder.parameters(), decoder, recipe.loop)


def plain_step(recipe: Recipe, device: str) -> Callable[[], object]:
    """A step of the plain loop."""
    fabric = make_fabric(device)
    network = build_network(recipe.network_config(CLASSES)).to(fabric.device).train()
    optimiser = _optimiser(network, recipe)
    inputs, label = frames(recipe)
    inputs, label = [x.to(fabric.device) for x in inputs], label.to(fabric.device)
    terms = recipe.task.distillation, recipe.task.temperature, None, recipe.task.loss_at

    def step() -> None:
        optimiser.zero_grad()
        segmentation_loss(network, network(inputs), label, *terms).backward()
        optimiser.step()

    return step


def our_step(recipe: Recipe, device: str) -> Callable[[], object]:
    """A step as `asymfusion train` makes it."""
    fabric = make_fabric(device, precision=recipe.loop.precision)
    if fabric.device.type == "cpu":
        keep_freed_memory()
    network = build_network(recipe.network_config(CLASSES))
    model = TrainingModel(network, recipe.task)
    if recipe.loop.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.loop.compile:
        network.compile()
    model, optimiser = fabric.setup(model, _optimiser(network, recipe))
    model.train()
    inputs, label = frames(recipe)
    inputs = [x.to(fabric.device, memory_format=torch.channels_last) for x in inputs]
    label = label.to(fabric.device)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        fabric.backward(model(inputs, label))
        fabric.clip_gradients(model, optimiser, max_norm=recipe.loop.clip, error_if_nonfinite=False)
        optimiser.step()

    return step


def timed(step: Callable[[], object], steps: int, on_gpu: bool) -> list[float]:
    """Seconds of each step, after a warm-up; on a GPU between device events."""
    for _ in range(10 if on_gpu else 2):
        step()
    found = []
    for _ in range(steps):
        if on_gpu:
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            step()
            end.record()
            end.synchronize()
            found.append(begin.elapsed_time(end) / 1000)
        else:
            start = time.perf_counter()
            step()
            found.append(time.perf_counter() - start)
    return found


if __name__ == "__main__":
    sys.exit(main())
