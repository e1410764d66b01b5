"""Lightning Fabric for what the command was asked for: a CPU, a GPU, several of either, several machines."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.batch_sampler import Frames

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}
PATIENCE = timedelta(days=7)  # who is done first with scoring waits for the slowest


@dataclass(frozen=True)
class Processes:
    """Where the processes of a command run. devices: how many on each of ``nodes`` machines, or the index of
    a single GPU in a list. external: torchrun started them."""

    accelerator: str
    devices: int | list[int]
    nodes: int = 1
    external: bool = False

    @property
    def count(self) -> int:
        """Over all machines."""
        return self.devices * self.nodes if isinstance(self.devices, int) else 1


def choose_processes(
    device: str, devices: int, option: str, environment: Mapping[str, str] = os.environ
) -> Processes:
    """device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. devices: GPUs (or processes on a CPU) of this
    machine, as ``option`` of the command gave it; under ``torchrun`` what it started counts instead.

    Raises ConfigError for more GPUs than there are.
    """
    if devices < 1:
        raise ConfigError(f"{option} is {devices}; it must be 1 or more")
    chosen = choose_device(device)
    external = "TORCHELASTIC_RUN_ID" in environment
    nodes = 1
    if external:
        if devices > 1:
            raise ConfigError(f"{option} {devices} under torchrun, which starts the processes: leave it out")
        devices = int(environment["LOCAL_WORLD_SIZE"])
        nodes = int(environment["WORLD_SIZE"]) // devices
    if chosen.type == "cuda":
        if chosen.index is not None and devices * nodes > 1:
            raise ConfigError(f"{option} {devices} on {device}, which is one GPU: use cuda, or cpu")
        count = torch.cuda.device_count()
        if devices > count:
            raise ConfigError(
                f"{devices} GPUs are asked for, but this machine has {count}: lower {option} to {count}, or "
                "add --device cpu"
            )
        if chosen.index is not None:
            return Processes("cuda", [chosen.index])
    return Processes(chosen.type, devices, nodes, external)


def make_fabric(
    device: str = "auto",
    devices: int = 1,
    precision: str = "fp32",
    parameters_left_out: bool = False,
    launches_function: bool = False,
    option: str = "--devices",
) -> Fabric:
    """The processes of a command, not launched yet; see ``choose_processes``.

    parameters_left_out: there are steps in which some parameters have no gradient, which the processes have
    to look for then. launches_function: the caller gives Fabric.launch a function, which then runs in
    several processes; otherwise the whole command does.

    Raises ConfigError for more GPUs than there are, and for fp16 on a CPU.
    """
    chosen = choose_processes(device, devices, option)
    if chosen.accelerator == "cpu" and precision == "fp16":
        raise ConfigError("precision: fp16 needs a GPU; on a CPU use bf16 or fp32")
    strategy: DDPStrategy | Literal["auto"] = "auto"
    if chosen.count > 1:
        end_process_group_at_exit()
        spawn = launches_function and not chosen.external
        strategy = DDPStrategy(
            # The norms exchange their statistics themselves, and have no other buffers to broadcast.
            broadcast_buffers=False,
            find_unused_parameters=parameters_left_out,
            start_method="spawn" if spawn else "popen",  # a forked CUDA context does not work
            timeout=PATIENCE if launches_function else timedelta(minutes=30),
        )
    return Fabric(
        accelerator=chosen.accelerator,
        devices=chosen.devices,
        num_nodes=chosen.nodes,
        strategy=strategy,
        precision=PRECISIONS[precision],
    )


def check_same_frames(fabric: Fabric, frames: Frames) -> None:
    """Raises UserError where the processes of a run, on several machines perhaps, list different frames: each
    would take its part of another order."""
    digests: list[str] = [frames.digest()]
    if fabric.world_size > 1:
        digests = [""] * fabric.world_size
        torch.distributed.all_gather_object(digests, frames.digest())
    other = next((rank for rank, digest in enumerate(digests) if digest != digests[0]), None)
    if other is not None:
        raise UserError(
            f"process {other} of this run lists other frames in split {frames.split!r} than process 0: give "
            "every machine the same data"
        )


def end_process_group_at_exit() -> None:
    """Has the threads of torch.distributed end before the interpreter of this process does: it aborts now and
    then where they still run. A process that is spawned has to ask for it itself."""
    atexit.register(_end_process_group)


def _end_process_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
