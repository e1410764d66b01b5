"""`asymfusion replay`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

import asymfusion_ros.ros  # noqa: F401  (how long threads spin, which torch reads when it is loaded)
from asymfusion_ros.atomic_write import make_folder
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.cli.reading import (
    add_labels,
    add_network,
    add_reading,
    check_topics,
    read_options,
    say,
    whole,
)
from asymfusion_ros.engine.exported import load_model
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_ros.recordings.sources import positive
from asymfusion_ros.replay.built_in_source import NAME as BUILT_IN
from asymfusion_ros.replay.cluster import run_on_cluster
from asymfusion_ros.replay.job import Job, Places, from_the_root
from asymfusion_ros.replay.many import Task, failed, run_here
from asymfusion_ros.replay.replay import Replay, Replayed, finished
from asymfusion_ros.replay.scores import Counter
from asymfusion_ros.replay.streams import open_streams
from asymfusion_ros.replay.together import put_together

EXAMPLES = """\
  asymfusion replay motorcycle --output replayed
  asymfusion replay kitchen.mcap --output replayed
  asymfusion replay rosbag2_2025_01_01/ old.bag --checkpoint mine.safetensors --output replayed
  asymfusion replay run.bag --rgb /camera/color/image_raw --depth /camera/depth/image_raw --slop 0.03 \\
      --output replayed
  asymfusion replay run.bag --labels-dir run_labels --output scored
  asymfusion replay data/nyudv2 --split val --labels-dir data/nyudv2/label --output scored
  asymfusion replay run.bag --output replayed --png masks --coco for_coco --kitti for_kitti
  asymfusion replay long.bag --output replayed --resume
  asymfusion replay monday/*.mcap --output replayed --processes 4
  asymfusion replay monday/*.mcap --output replayed --scheduler tcp://10.0.0.5:8786
"""
# Options of the whole run, which its tasks are not given.
OF_THE_RUN = ("command", "recordings", "resume", "processes", "scheduler", "threads", "patience")
KEPT = "stopped; what is whole is kept, and --resume goes on with it"
WAIT = 600.0  # seconds that a task waits for a process that has lost its worker, and ends


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion replay --help``."""
    add = parser.add_argument
    add(
        "recordings",
        nargs="+",
        type=Path,
        metavar="BAG",
        help="a bag (ROS 1, or ROS 2 with sqlite3 or mcap storage), a folder with rgb/ and depth/ of PNGs, "
        "or motorcycle, the built-in recording",
    )
    add("--output", type=Path, required=True, metavar="DIR", help="where a folder of each recording goes")
    add("--resume", action="store_true", help="go on where a run that was killed stopped; keep what is done")
    add(
        "--patience",
        type=positive,
        default=0.0,
        metavar="S",
        help="wait so long for another process that replays the same (default: not at all)",
    )
    group = parser.add_argument_group("many recordings at once")
    where = group.add_mutually_exclusive_group()
    where.add_argument(
        "--processes", type=whole, metavar="N", help="so many, each in a process with its share of the cores"
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="on the workers of a Dask cluster, which see the same files under the same names",
    )
    group = add_network(parser)
    group.add_argument(
        "--threads",
        type=whole,
        metavar="N",
        help="CPU threads of a recording's network, for as many frames at once, 8 at most (default: a core "
        "each, or a share of the cores)",
    )
    add_reading(parser)
    add_labels(parser, "labels to score the masks with")
    group = parser.add_argument_group("further outputs")
    group.add_argument(
        "--originals", action="store_true", help="the recorded images too, in the bag of the masks"
    )
    for name, what in (
        ("png", "masks as PNGs, class indices and in colour"),
        ("coco", "COCO's panoptic format and semantic maps"),
        ("kitti", "the layout of KITTI's semantic benchmark"),
    ):
        group.add_argument(f"--{name}", type=Path, metavar="DIR", help=what)


def run(args: argparse.Namespace) -> int:
    """Replays, and prints what came of it. Raises UserError."""
    jobs = [_job(args, path) for path in args.recordings]
    names = [path.stem if path.is_file() else path.resolve().name for path in args.recordings]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"two recordings are called {twice}: replay them into different folders")
    gone = [path for path in args.recordings if str(path) != BUILT_IN and not path.exists()]
    if len(jobs) > 1 and gone:  # before hours of work on the others
        raise ConfigError(f"{gone[0]} does not exist: no recording has been replayed")
    for job, name in zip(jobs, names):
        Places.of(job, name)  # refused before the network is loaded
    make_folder(args.output)
    counter = _counter_of(args) if jobs[0].scored else None
    model = load_model(args.checkpoint)
    check_topics(jobs[0].read.topics, model.config.modalities)
    counts = None if counter is None else partial(counter, model)
    many = args.processes is not None or args.scheduler is not None
    found = _at_once(args, names) if many else _in_turn(args, jobs, names, model, counts)
    if len(jobs) > 1 and found.whole:
        whole = [found.whole[name] for name in names if name in found.whole]
        print(put_together(args.output, whole, found.reasons, counts))
    if found.reasons:
        raise failed(found.reasons, args.output)
    return 0


@dataclass
class _Found:
    """By the recordings' names: those that came to their end, and why others did not."""

    whole: dict[str, Replayed] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def _in_turn(
    args: argparse.Namespace,
    jobs: Sequence[Job],
    names: Sequence[str],
    model: ModelDescription,
    counter: Callable[[Sequence[str]], Counter] | None,
) -> _Found:
    streams = open_streams(model, args.device, args.precision, args.backend, args.threads or 0)
    found = _Found()
    for job, name in zip(jobs, names):
        try:
            found.whole[name] = Replay(streams, job, counter, say, progress=True).run()
        except UserError as error:
            if len(jobs) == 1:
                raise
            found.reasons[name] = str(error)
            say(f"{name}: failed: {error}")
            continue
        except KeyboardInterrupt:
            say(f"{job.path}: {KEPT}")
            raise
        print(found.whole[name].text, flush=True)
    return found


def _at_once(args: argparse.Namespace, names: Sequence[str]) -> _Found:
    tasks = [
        Task(name, args.output.absolute(), task_words(args, path))
        for name, path in zip(names, args.recordings)
    ]
    found = _Found()
    began = time.monotonic()
    with tqdm(total=len(tasks), unit="recording", disable=None) as bar:

        def ended(task: Task, reason: str) -> None:
            if reason:
                found.reasons[task.name] = reason
                bar.write(f"{task.name}: failed: {reason}", file=sys.stderr)
            else:
                found.whole[task.name] = finished(args.output / task.name)
                bar.write(found.whole[task.name].text, file=sys.stdout)
            bar.update()

        try:
            if args.scheduler is not None:
                run_on_cluster(tasks, args.scheduler, args.threads or 0, ended)
            else:
                processes = min(args.processes, len(tasks))
                threads = args.threads or max(1, torch.get_num_threads() // processes)
                run_here(tasks, processes, threads, ended)
        except KeyboardInterrupt:
            say(KEPT)
            raise
    say(f"{len(found.whole)} of {len(tasks)} recordings in {time.monotonic() - began:.1f} s")
    return found


def task_words(args: argparse.Namespace, path: Path) -> list[str]:
    """The words of `asymfusion replay` for one recording of ``args``, wherever they are said."""
    words = [str(path.absolute() if path.exists() else path), "--resume", f"--patience={WAIT:g}"]
    for name, value in vars(args).items():
        option = f"--{name.replace('_', '-')}"
        if name in OF_THE_RUN or value is None or value is False:
            continue
        if value is True:
            words.append(option)
            continue
        for one in value if isinstance(value, list) else [value]:
            placed = one.absolute() if isinstance(one, Path) else one
            words.append(f"{option}={from_the_root(one) if name == 'checkpoint' else placed}")
    return words


def _job(args: argparse.Namespace, path: Path) -> Job:
    exports = {name: getattr(args, name) for name in ("png", "coco", "kitti") if getattr(args, name)}
    return Job(
        path,
        args.output,
        replace(read_options(args), labels=args.labels),
        args.checkpoint,
        args.precision,
        args.originals,
        exports,
        args.labels_dir,
        args.split,
        args.rate,
        args.resume,
        args.patience,
    )


def _counter_of(args: argparse.Namespace) -> Callable[..., Counter]:
    """The training package's, which is loaded for it alone."""
    try:
        module = importlib.import_module("asymfusion_training.evaluation.recording")
    except ModuleNotFoundError as error:
        option = f"--labels {args.labels}" if args.labels else f"--labels-dir {args.labels_dir}"
        raise ConfigError(
            f"{option}: scoring needs {error.name}, which is not installed: pip install "
            "'asymfusion_ros[train]'"
        ) from error
    counter: Callable[..., Counter] = module.RecordingCounter
    return counter
