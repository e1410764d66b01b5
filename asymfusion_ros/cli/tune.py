"""`asymfusion tune`."""

from __future__ import annotations

import argparse
import itertools
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from asymfusion_ros.atomic_write import check_place, write_whole
from asymfusion_ros.benchmark.load import busy
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli import export
from asymfusion_ros.cli.reading import add_reading, read_options
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.precision import computes_bf16
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_ros.packaged import checkpoint_file
from asymfusion_ros.replay.built_in_source import NAME
from asymfusion_ros.replay.frames import open_source, read_frames
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.tuning.machine import this_machine
from asymfusion_ros.tuning.trials import Trial, Trials, best
from asymfusion_ros.tuning.tuning_file import Tuning, Way, sha256, standard_path

EXAMPLES = """\
  asymfusion tune
  asymfusion tune default --recording kitchen.mcap --load 2 --plot tuned.png
  asymfusion tune model.safetensors --recording data/frames --threads 1 2 4
  asymfusion tune model.safetensors --exported model.onnx --output tuning.yaml
"""
RUNTIMES = ("openvino", "onnxruntime")
NETWORK = "network.onnx"  # beside the tuning file, where it is exported


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand."""
    parser.add_argument(
        "checkpoint",
        nargs="?",
        default="default",
        help="a .safetensors file, or default for the package's (default)",
    )
    parser.add_argument(
        "--recording",
        type=Path,
        default=Path(NAME),
        metavar="BAG|FOLDER",
        help="whose frames it is tried on (default: the built-in recording)",
    )
    parser.add_argument(
        "--frames", type=int, default=12, help="so many, spread over the recording (default: %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="turns that each way gets (default: %(default)s)"
    )
    parser.add_argument(
        "--load",
        type=int,
        default=0,
        metavar="N",
        help="time it beside N processes that are always busy too, and choose by that",
    )
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        metavar="N",
        help="numbers of threads to try (default: 1, 2, 4 ... and as many as there are cores)",
    )
    parser.add_argument(
        "--backends",
        nargs="+",
        choices=("torch", *RUNTIMES),
        help="to try (default: those that are installed)",
    )
    parser.add_argument(
        "--exported",
        type=Path,
        metavar="FILE",
        help="the checkpoint's .onnx (default: it is exported, beside the output)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the tuning file to write (default: where the node looks for it)",
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the times too")
    add_reading(parser)


def run(args: argparse.Namespace) -> int:
    """Tries, prints, writes; the exit code. Raises UserError."""
    output = args.output or standard_path()
    _check(args, output)
    path = checkpoint_file(args.checkpoint)
    checkpoint = load_checkpoint(args.checkpoint)
    reference = Segmenter(checkpoint, "cpu", "fp32", "torch")
    modalities = [checkpoint.input_spec.modality(name) for name in checkpoint.config.modalities]
    frames = _frames(args, modalities)
    exported = _exported(args, output, frames)
    trials = Trials(_ways(args, path, exported), frames, reference, _progress)
    idle = trials.times(args.rounds)
    with busy(args.load) if args.load else nullcontext():
        loaded = trials.times(args.rounds, seed=1) if args.load else {}
    found = [Trial(way, trials.agreement[way], idle[way], loaded.get(way, ())) for way in idle]
    found.sort(key=lambda trial: trial.median)
    chosen = best(found)
    for line in _table(found, chosen, args.load):
        print(line)
    if args.plot is not None:
        from asymfusion_ros.tuning.plot import times_picture

        write_whole(args.plot, times_picture(found, args.load))
    if chosen is None:
        raise UserError("none of them gives the checkpoint's labels: nothing is written; please report it")
    way = chosen.way
    other_file = "" if Path(way.model) == path.resolve() else sha256(Path(way.model))
    table = [_line(trial) for trial in found]
    Tuning(sha256(path), this_machine(), way, other_file, table).write(output)
    how = "" if args.output is None else f"; the node reads it by tuning:={output}"
    print(f"\nwritten to {output}{how}")
    return 0


def _check(args: argparse.Namespace, output: Path) -> None:
    for name in ("frames", "rounds"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} {getattr(args, name)} must be 1 or more")
    if args.load < 0:
        raise UserError(f"--load {args.load} must be 0 or more processes")
    if wrong := [count for count in args.threads or () if not 1 <= count <= 1024]:
        raise UserError(f"--threads {wrong[0]} must be 1 to 1024")
    if output.suffix not in (".yaml", ".yml"):
        raise UserError(f"--output {output}: name it .yaml")
    output.parent.mkdir(parents=True, exist_ok=True)
    check_place(output)
    if args.plot is not None:
        check_place(args.plot)


def _frames(args: argparse.Namespace, modalities: Sequence[Modality]) -> list[dict[str, Any]]:
    """Of the recording, evenly spread; all with the modalities of the first. Depth is taken as it is: to
    register it takes every way the same time."""
    options, notes = read_options(args), Notes()
    source = open_source(args.recording, modalities, options, notes, args.split, args.rate)
    total = max(source.images.values(), default=0)
    step = max(1, total // args.frames)
    found: list[dict[str, Any]] = []
    with read_frames(source, modalities, options, notes) as frames:
        for frame in _bar(frames, "read", total):
            if frame.number % step == 0 and (not found or frame.images.keys() == found[0].keys()):
                found.append(dict(frame.images))
            if len(found) == args.frames:
                break
    if not found:
        raise ConfigError(f"{args.recording} has no frame of the checkpoint's modalities")
    return found


def _exported(args: argparse.Namespace, output: Path, frames: Sequence[dict[str, Any]]) -> Path | None:
    """The checkpoint's exported file, where a backend needs one."""
    wanted = [name for name in args.backends or RUNTIMES if name in RUNTIMES and find_spec(name)]
    missing = [name for name in args.backends or () if not find_spec(name)]
    if missing:
        raise ConfigError(f"--backends {missing[0]}: it is not installed: pip install {missing[0]}")
    if not wanted or args.exported is not None:
        return args.exported if wanted else None
    if not (find_spec("onnx") and find_spec("onnxscript")):
        raise ConfigError(
            f"{' and '.join(wanted)} run exported files, and exporting needs more: pip install "
            "'asymfusion_ros[export]', give one with --exported, or leave them out with --backends torch"
        )
    network = output.with_name(f"{output.stem}_{NETWORK}")
    reference = next(iter(frames[0].values()))
    size = f"{reference.width}x{reference.height}"
    given = {"checkpoint": args.checkpoint, "output": network, "format": "onnx", "precision": None}
    export.run(Namespace(**given, size=size, data=None, split="val", frames=4))
    return network


def _ways(args: argparse.Namespace, checkpoint: Path, exported: Path | None) -> list[Way]:
    cores = len(os.sched_getaffinity(0))
    threads = args.threads or sorted({2**i for i in range(cores.bit_length()) if 2**i <= cores} | {cores})
    half = ["bf16"] if computes_bf16() else []
    ways = []
    for name in args.backends or ("torch", *RUNTIMES):
        if name != "torch" and exported is None:
            continue
        model = str((checkpoint if name == "torch" or exported is None else exported).resolve())
        precisions = ["fp32", *(half if name != "onnxruntime" else [])]
        ways += [Way(model, name, "cpu", *one) for one in itertools.product(precisions, threads)]
    if torch.cuda.is_available() and (args.backends is None or "torch" in args.backends):
        model = str(checkpoint.resolve())
        ways += [
            Way(model, "torch", "cuda", precision, max(threads)) for precision in ("fp32", "fp16", "bf16")
        ]
    return ways


def _line(trial: Trial) -> dict[str, Any]:
    found = {**vars(trial.way), "agreement": round(trial.agreement, 5)}
    del found["model"]
    for name, values in (("ms", trial.milliseconds), ("ms_loaded", trial.loaded)):
        if values:
            found[name] = [round(float(np.percentile(values, share)), 2) for share in (50, 95)]
    return found


def _table(found: Sequence[Trial], chosen: Trial | None, load: int) -> Iterator[str]:
    beside = f"  beside {load} busy: p50, p95 ms" if load else ""
    heads = f"{'backend':12}{'device':8}{'precision':10}{'threads':>7}{'agreement':>11}{'p50, p95 ms':>17}"
    yield heads + beside
    for trial in found:
        way, line = trial.way, _line(trial)
        times = "".join(
            f"{'{:.1f}, {:.1f}'.format(*line[name]):>17}" for name in ("ms", "ms_loaded") if name in line
        )
        mark = "  <- chosen" if trial is chosen else "" if trial.passes else "  other labels: not taken"
        yield (
            f"{way.backend:12}{way.device:8}{way.precision:10}{way.threads:7}{trial.agreement:11.3%}{times}{mark}"
        )


def _progress(items: Sequence[Any], what: str) -> Iterable[Any]:
    return _bar(items, what, len(items))


def _bar(items: Iterable[Any], what: str, total: int) -> Iterable[Any]:
    bar: Iterable[Any] = tqdm(items, what, total, leave=False, disable=None)
    return bar
