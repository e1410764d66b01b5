"""What `asymfusion evaluate` is to do, and what it refuses: all before the first frame is scored."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

from lightning_fabric import Fabric

from asymfusion_ros.atomic_write import check_place, make_folder
from asymfusion_ros.checkpoint import Checkpoint, check_output, load_checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.evaluation.job import Job
from asymfusion_training.evaluation.scoring_settings import ScoringSettings
from asymfusion_training.loop.devices import choose_processes, make_fabric


@dataclass(frozen=True)
class Plan:
    """jobs: the checkpoint, and the one that it is compared with. fabric: the processes, not launched."""

    folder: Folder
    names: list[str]
    jobs: list[Job]
    fabric: Fabric


def make_plan(args: argparse.Namespace) -> Plan:
    """Raises UserError for what cannot be done as asked."""
    paths = [args.checkpoint] if args.against is None else [args.checkpoint, args.against]
    checkpoints = [load_checkpoint(path) for path in paths]
    settings = ScoringSettings(
        tuple(args.scales), args.flip, args.depth_holes, args.seed, args.boundary_ratio
    )
    folder = Folder(args.data)
    jobs = [_job(path, found, args, folder, settings) for path, found in zip(paths, checkpoints)]
    jobs[0] = replace(jobs[0], masks=args.save_masks)
    names = frame_names(args, folder)
    if args.bootstrap or args.against is not None:
        _check_comparison(jobs, len(names))
    processes = choose_processes(args.device, args.processes, "--processes").count
    if processes > len(names):
        raise ConfigError(f"{processes} processes for {len(names)} frames: use at most {len(names)}")
    if args.calibrate is not None:
        _check_calibration(args.calibrate, settings)
    if args.check_precisions is not None:
        _check_calibration(args.check_precisions, settings, "--check-precisions")
    for path in (args.json, args.confusion, args.reliability):
        if path is not None:
            check_place(path)
    for option, path in (("--confusion", args.confusion), ("--reliability", args.reliability)):
        if path is not None and path.suffix.lower() != ".png":
            raise ConfigError(f"{option} {path}: the picture is a PNG; name it .png")
    if args.reliability is not None and settings.several_views:
        raise ConfigError("--reliability is of the engine's confidence: leave out --scales and --flip")
    if args.save_masks is not None:
        make_folder(args.save_masks)
    fabric = make_fabric(args.device, args.processes, launches_function=True, option="--processes")
    return Plan(folder, names, jobs, fabric)


def _job(
    path: str, checkpoint: Checkpoint, args: argparse.Namespace, folder: Folder, settings: ScoringSettings
) -> Job:
    check_labels(checkpoint, folder, path)
    if settings.several_views and checkpoint.input_spec.several_views:
        raise ConfigError(f"{path} averages several views by itself: leave out --scales and --flip")
    has = checkpoint.config.modalities
    given = has if args.modalities is None else tuple(name for name in has if name in args.modalities)
    kinds = {checkpoint.input_spec.modality(name).kind for name in given}
    if path == args.checkpoint:
        unknown = [name for name in args.modalities or () if name not in has]
        if unknown:
            raise ConfigError(f"--modalities: {unknown[0]!r} is not one of the checkpoint's {', '.join(has)}")
        if settings.depth_holes and "range" not in kinds:
            raise ConfigError("--depth-holes changes nothing: depth is not among what the network is given")
    if not given:
        raise ConfigError(
            f"--against {path} has {', '.join(has)}, none of --modalities {' '.join(args.modalities)}"
        )
    folder.check_modalities(given)
    return Job(path, args.data, given, settings, args.precision, temperature=checkpoint.temperature(given))


def check_labels(
    checkpoint: Checkpoint, folder: Folder, path: str, advice: str = "score it on data with its own classes"
) -> None:
    """Raises UserError, ``advice`` at its end, where an index means another class to the checkpoint than to
    the folder."""
    ours, theirs = checkpoint.labels.names, folder.labels.names
    if len(ours) != len(theirs):
        raise UserError(
            f"checkpoint {path} has {len(ours)} classes ({checkpoint.labels.name}), but {folder.root} has "
            f"{len(theirs)} ({folder.labels.name}): {advice}"
        )
    for index, (one, other) in enumerate(zip(ours, theirs)):
        if one != other:
            raise UserError(
                f"class {index} is {one!r} in checkpoint {path}, but {other!r} in {folder.root}: {advice}"
            )


def frame_names(args: argparse.Namespace, folder: Folder) -> list[str]:
    """Those of --split, up to --limit. Raises UserError."""
    names = folder.names(args.split)
    if args.limit is not None:
        if args.limit < 1:
            raise ConfigError(f"--limit is {args.limit}; it must be 1 or more")
        names = names[: args.limit]
    return names


def _check_calibration(output: Path, settings: ScoringSettings, option: str = "--calibrate") -> None:
    check_output(output, option)
    if settings.several_views or settings.depth_holes:
        raise ConfigError(
            f"{option} takes the frames as they are: leave out --scales, --flip and --depth-holes"
        )


def _check_comparison(jobs: list[Job], frames: int) -> None:
    if frames < 2:
        raise ConfigError("one frame says nothing about another: --bootstrap and --against need 2 or more")
    if len(jobs) == 1 and len(jobs[0].modalities) == 1:
        raise ConfigError(
            f"--bootstrap: with {jobs[0].modalities[0]} only, the ensemble is that modality; give more "
            "modalities, or compare with another checkpoint (--against)"
        )
