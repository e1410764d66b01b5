"""What `asymfusion evaluate` is to do, and what it refuses: all before the first frame is scored."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import torch

from asymfusion_ros.atomic_write import check_place, make_folder
from asymfusion_ros.checkpoint import Checkpoint, load_checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.engine.device import choose_device
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.evaluation.processes import Job
from asymfusion_training.evaluation.settings import Settings
from asymfusion_training.evaluation.torchrun import Ranks


@dataclass(frozen=True)
class Plan:
    """jobs: the checkpoint, and the one that it is compared with. devices: one for each process that this
    one starts; its own where that is a single one."""

    folder: Folder
    names: list[str]
    jobs: list[Job]
    devices: list[torch.device]


def make_plan(args: argparse.Namespace, ranks: Ranks) -> Plan:
    """Raises UserError for what cannot be done as asked."""
    paths = [args.checkpoint] if args.against is None else [args.checkpoint, args.against]
    checkpoints = [load_checkpoint(path) for path in paths]
    settings = Settings(tuple(args.scales), args.flip, args.depth_holes, args.seed, args.boundary_ratio)
    folder = Folder(args.data)
    jobs = [_job(path, found, args, folder, settings) for path, found in zip(paths, checkpoints)]
    jobs[0] = replace(jobs[0], masks=args.save_masks)
    names = _names(args, folder)
    if args.bootstrap or args.against is not None:
        _check_comparison(jobs, len(names))
    devices = choose_devices(args.device, args.processes, ranks)
    processes = max(len(devices), ranks.world)
    if processes > len(names):
        raise ConfigError(f"{processes} processes for {len(names)} frames: use at most {len(names)}")
    for path in (args.json, args.confusion):
        if path is not None:
            check_place(path)
    if args.confusion is not None and args.confusion.suffix.lower() != ".png":
        raise ConfigError(f"--confusion {args.confusion}: the picture is a PNG; name it .png")
    if args.save_masks is not None:
        make_folder(args.save_masks)
    return Plan(folder, names, jobs, devices)


def _job(
    path: str, checkpoint: Checkpoint, args: argparse.Namespace, folder: Folder, settings: Settings
) -> Job:
    check_labels(checkpoint, folder, path)
    has = checkpoint.config.modalities
    given = has if args.modalities is None else tuple(name for name in has if name in args.modalities)
    if path == args.checkpoint:
        unknown = [name for name in args.modalities or () if name not in has]
        if unknown:
            raise ConfigError(f"--modalities: {unknown[0]!r} is not one of the checkpoint's {', '.join(has)}")
        if settings.depth_holes and "depth" not in given:
            raise ConfigError("--depth-holes changes nothing: depth is not among what the network is given")
    if not given:
        raise ConfigError(
            f"--against {path} has {', '.join(has)} alone, none of --modalities {' '.join(args.modalities)}"
        )
    folder.check_modalities(given)
    return Job(path, args.data, given, settings)


def check_labels(checkpoint: Checkpoint, folder: Folder, path: str) -> None:
    """Raises UserError where an index means another class to the checkpoint than to the folder."""
    ours, theirs = checkpoint.labels.names, folder.labels.names
    if len(ours) != len(theirs):
        raise UserError(
            f"checkpoint {path} has {len(ours)} classes ({checkpoint.labels.name}), but {folder.root} has "
            f"{len(theirs)} ({folder.labels.name}): score it on data with its own classes"
        )
    for index, (one, other) in enumerate(zip(ours, theirs)):
        if one != other:
            raise UserError(
                f"class {index} is {one!r} in checkpoint {path}, but {other!r} in {folder.root}: "
                "score it on data with its own classes"
            )


def _names(args: argparse.Namespace, folder: Folder) -> list[str]:
    names = folder.names(args.split)
    if args.limit is not None:
        if args.limit < 1:
            raise ConfigError(f"--limit is {args.limit}; it must be 1 or more")
        names = names[: args.limit]
    return names


def _check_comparison(jobs: list[Job], frames: int) -> None:
    if frames < 2:
        raise ConfigError("one frame says nothing about another: --bootstrap and --against need 2 or more")
    if len(jobs) == 1 and len(jobs[0].modalities) == 1:
        raise ConfigError(
            f"--bootstrap: with {jobs[0].modalities[0]} alone the ensemble is its one branch; give more "
            "modalities, or compare with another checkpoint (--against)"
        )


def choose_devices(name: str, processes: int, ranks: Ranks) -> list[torch.device]:
    """One for each process that this one is to start; this one's own where that is a single one."""
    if processes < 1:
        raise ConfigError(f"--processes is {processes}; it must be 1 or more")
    if ranks.world > 1:
        if processes > 1:
            raise ConfigError(
                f"--processes {processes} under torchrun, which starts the processes: leave it out"
            )
        device = choose_device(name)
        return [choose_device(f"cuda:{ranks.local}") if device == torch.device("cuda") else device]
    device = choose_device(name)
    if processes == 1:
        return [device]
    if device.type == "cpu":
        return [device] * processes
    if device.index is not None:
        raise ConfigError(f"--processes {processes} on {name}, which is one GPU: use cuda, or cpu")
    count = torch.cuda.device_count()
    if processes > count:
        raise ConfigError(
            f"--processes {processes}, but torch sees {count} CUDA devices, one for each process: "
            f"use at most {count}, or --device cpu"
        )
    return [torch.device("cuda", index) for index in range(processes)]
