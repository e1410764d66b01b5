"""Lightning Fabric for what the command was asked for: a CPU, a GPU, several of either, several machines."""

from __future__ import annotations

import os

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy

from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.errors import ConfigError

PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def make_fabric(
    device: str = "auto", devices: int = 1, precision: str = "fp32", leaves_some_out: bool = False
) -> Fabric:
    """The processes of a run, not launched yet.

    device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. devices: GPUs (or processes on a CPU) of this machine;
    under ``torchrun`` what it started counts instead. leaves_some_out: there are steps in which some
    parameters have no gradient, which the processes have to look for then.

    Raises ConfigError for more GPUs than there are, and for fp16 on a CPU.
    """
    chosen = choose_device(device)
    if devices < 1:
        raise ConfigError(f"--devices is {devices}; it must be 1 or more")
    nodes = 1
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    if chosen.type == "cuda" and devices > torch.cuda.device_count():
        raise ConfigError(
            f"{devices} GPUs are asked for, but this machine has {torch.cuda.device_count()}: "
            f"lower --devices to {torch.cuda.device_count()}"
        )
    if chosen.type == "cpu" and precision == "fp16":
        raise ConfigError("precision: fp16 trains on a GPU alone; on a CPU use bf16 or fp32")
    which: int | list[int] = devices
    if chosen.type == "cuda" and chosen.index is not None and devices == 1 and nodes == 1:
        which = [chosen.index]
    return Fabric(
        accelerator=chosen.type,
        devices=which,
        num_nodes=nodes,
        strategy=_several(leaves_some_out) if devices * nodes > 1 else "auto",
        precision=PRECISIONS[precision],
    )


def _several(leaves_some_out: bool) -> DDPStrategy:
    # The norms exchange their statistics themselves, and have no other buffers to broadcast.
    return DDPStrategy(broadcast_buffers=False, find_unused_parameters=leaves_some_out)
