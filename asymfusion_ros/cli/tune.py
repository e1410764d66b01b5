"""`asymfusion tune`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from asymfusion_ros.atomic_write import check_place, write_whole
from asymfusion_ros.benchmark.load import busy
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.checkpoint.digest import sha256
from asymfusion_ros.cli.reading import add_reading, share
from asymfusion_ros.cli.tune_frames import tune_frames
from asymfusion_ros.cli.tune_ways import (
    OWN,
    RUNTIMES,
    check_int8,
    exported_files,
    other_sizes,
    remove_others,
    wanted_sizes,
    ways_to_try,
)
from asymfusion_ros.engine.segmenter import Segmenter, reference_name
from asymfusion_ros.errors import UserError
from asymfusion_ros.packaged import checkpoint_file
from asymfusion_ros.replay.built_in_source import NAME
from asymfusion_ros.tuning.machine import this_machine
from asymfusion_ros.tuning.trials import OTHER_SIZE, Trial, Trials, best
from asymfusion_ros.tuning.tuning_file import Tuning, standard_path

EXAMPLES = """\
  asymfusion tune
  asymfusion tune default --recording kitchen.mcap --load 2 --plot tuned.png
  asymfusion tune model.safetensors --recording data/frames --threads 1 2 4
  asymfusion tune model.safetensors --exported model.onnx --output tuning.yaml
  asymfusion tune default --int8 int8.onnx
  asymfusion tune default --recording data/nyudv2 --split val --sizes 320x240 400x304 --least-agreement 0.85
"""


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
        "--sizes",
        nargs="+",
        metavar="WxH",
        help="input sizes of the network to try besides the checkpoint's own; multiples of 8",
    )
    parser.add_argument(
        "--least-agreement",
        type=share,
        default=OTHER_SIZE,
        metavar="SHARE",
        help="of the pixels that must have the class which the checkpoint gives at its own size, for one of "
        "--sizes to be chosen (default: %(default)s)",
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
        "--int8",
        type=Path,
        metavar="FILE",
        help="the checkpoint exported with --precision int8, to be tried on OpenVINO too",
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
    if args.int8 is not None:
        check_int8(args.int8, path, checkpoint)
    wanted = wanted_sizes(args, checkpoint)
    reference = Segmenter(checkpoint, "cpu", "fp32", "torch")
    spec = checkpoint.input_spec
    modalities = [spec.modality(name) for name in checkpoint.config.modalities]
    frames = tune_frames(args, modalities, checkpoint.labels, _bar)
    image = frames[0].images[reference_name(frames[0].images)]
    sizes = [OWN, *other_sizes(spec, wanted, image)]
    exported = exported_files(args, output, sizes, image)
    trials = Trials(ways_to_try(args, path, exported, sizes), frames, reference, _progress)
    idle = trials.times(args.rounds)
    with busy(args.load) if args.load else nullcontext():
        loaded = trials.times(args.rounds, seed=1) if args.load else {}
    found = [
        Trial(
            way,
            trials.agreement[way],
            idle[way],
            loaded.get(way, ()),
            trials.mean_iou[way],
            args.least_agreement,
        )
        for way in idle
    ]
    found.sort(key=lambda trial: trial.median)
    chosen = best(found)
    for line in _table(found, chosen, args.load, f"{spec.width}x{spec.height}"):
        print(line)
    if trials.reference_iou is not None:
        print(f"\nmean IoU of the checkpoint by torch in fp32: {trials.reference_iou:.2%}")
    if args.plot is not None:
        from asymfusion_ros.tuning.plot import times_picture

        write_whole(args.plot, times_picture(found, args.load))
    if chosen is None:
        raise UserError("none of them gives the checkpoint's labels: nothing is written; please report it")
    way = chosen.way
    other_file = "" if Path(way.model) == path.resolve() else sha256(Path(way.model))
    table = [_line(trial) for trial in found]
    Tuning(sha256(path), this_machine(), way, other_file, table).write(output)
    remove_others(exported, Path(way.model))
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


def _line(trial: Trial) -> dict[str, Any]:
    found = {**vars(trial.way), "agreement": round(trial.agreement, 5)}
    del found["model"]
    if trial.mean_iou is not None:
        found["mean_iou"] = round(trial.mean_iou, 5)
    for name, values in (("ms", trial.milliseconds), ("ms_loaded", trial.loaded)):
        if values:
            found[name] = [round(float(np.percentile(values, share)), 2) for share in (50, 95)]
    return found


def _table(found: Sequence[Trial], chosen: Trial | None, load: int, own: str) -> Iterator[str]:
    scored = any(trial.mean_iou is not None for trial in found)
    yield (
        f"{'backend':12}{'device':8}{'precision':10}{'input':10}{'threads':>7}{'agreement':>11}"
        + (f"{'mean IoU':>10}" if scored else "")
        + f"{'p50, p95 ms':>17}"
        + (f"  beside {load} busy: p50, p95 ms" if load else "")
    )
    for trial in found:
        way, line = trial.way, _line(trial)
        times = "".join(
            f"{'{:.1f}, {:.1f}'.format(*line[name]):>17}" for name in ("ms", "ms_loaded") if name in line
        )
        score = f"{trial.mean_iou:10.2%}" if trial.mean_iou is not None else ""
        mark = "  <- chosen" if trial is chosen else "" if trial.passes else "  other labels: not taken"
        yield (
            f"{way.backend:12}{way.device:8}{way.precision:10}{way.size or own:10}{way.threads:7}"
            f"{trial.agreement:11.3%}{score}{times}{mark}"
        )


def _progress(items: Sequence[Any], what: str) -> Iterable[Any]:
    return _bar(items, what, len(items))


def _bar(items: Iterable[Any], what: str, total: int) -> Iterable[Any]:
    bar: Iterable[Any] = tqdm(items, what, total, leave=False, disable=None)
    return bar
