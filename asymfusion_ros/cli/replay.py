"""`asymfusion replay`."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import asymfusion_ros.ros  # noqa: F401  (how long threads spin, which torch reads when it is loaded)
from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.transform import Transform
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.recordings.sources import positive
from asymfusion_ros.replay.job import Job, Places
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.replay import SUMMARY, Replay, Replayed
from asymfusion_ros.replay.scores import Counter
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.settings import Setting, declared

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
"""
# The node's parameters that are options here, under the same names
SHARED = ("slop", "queue_size", "missing_after", "rectified", "depth_to_rgb")


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
    group = parser.add_argument_group("the network")
    group.add_argument(
        "--checkpoint",
        default="default",
        help="a .safetensors or exported .onnx file (default: the package's)",
    )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    group.add_argument("--precision", default="auto", help="auto, fp32, fp16 or bf16 (default: %(default)s)")
    group.add_argument(
        "--backend", default="auto", help="auto, torch, openvino or onnxruntime (default: %(default)s)"
    )
    group = parser.add_argument_group("the images (guessed by type and name where not given)")
    group.add_argument("--rgb", metavar="TOPIC", help="the colour images")
    group.add_argument("--depth", metavar="TOPIC", help="the depth images")
    group.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="NAME=TOPIC",
        help="those of another modality of the checkpoint, as thermal=/flir/image",
    )
    group.add_argument("--seconds", type=positive, metavar="S", help="no more than this of each recording")
    group.add_argument("--split", metavar="NAME", help="of a folder with dataset.yaml: only its frames")
    group.add_argument(
        "--rate",
        type=positive,
        default=30.0,
        metavar="HZ",
        help="frames a second of a folder whose files are not called by their time (default: 30)",
    )
    group = parser.add_argument_group("how they are paired and registered (the node's parameters)")
    for one in declared(NodeSettings):
        if one.name in SHARED:
            group.add_argument(
                f"--{one.name.replace('_', '-')}",
                type=_type(one),
                default=one.default,
                metavar="VALUE",
                help=f"{one.help} (default: {one.default})",
            )
    group = parser.add_argument_group("labels to score the masks with")
    labels = group.add_mutually_exclusive_group()
    labels.add_argument(
        "--labels",
        metavar="TOPIC",
        help="of the bag: class indices in mono8, 255 for none, the frames' stamps",
    )
    labels.add_argument(
        "--labels-dir",
        type=Path,
        metavar="DIR",
        help="PNGs of class indices, called by the frames' stamps or names, or as many as there are frames",
    )
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
    for job, name in zip(jobs, names):
        Places.of(job, name)  # refused before the network is loaded
    make_folder(args.output)
    counter = _counter_of(args) if jobs[0].scored else None
    segmenter = Segmenter.from_checkpoint(args.checkpoint, args.device, args.precision, args.backend)
    unknown = [name for name in jobs[0].read.topics if name not in segmenter.modalities]
    if unknown:
        raise ConfigError(
            f"a topic of {unknown[0]} is given, but the checkpoint takes {', '.join(segmenter.modalities)}"
        )
    segmenter_counter = None if counter is None else lambda names: counter(segmenter.checkpoint, names)
    found = []
    for job in jobs:
        replay = Replay(segmenter, job, segmenter_counter, _say, progress=True)
        try:
            found.append(replay.run())
        except KeyboardInterrupt:
            _say(f"{job.path}: stopped; what is whole is kept, and --resume goes on with it")
            raise
        print(found[-1].text, flush=True)
    if len(found) > 1:
        print(_together(args.output, found, segmenter_counter))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _type(one: Setting) -> Callable[[str], Any]:
    kind = {"float": float, "int": int}.get(getattr(one.type, "__name__", ""), str)

    def parse(text: str) -> Any:
        return one.check(kind(text), "--")

    parse.__name__ = one.described  # argparse names it where the text is none
    return parse


def _job(args: argparse.Namespace, path: Path) -> Job:
    topics = {name: topic for name, topic in (("rgb", args.rgb), ("depth", args.depth)) if topic}
    for pair in args.topic:
        name, equals, topic = pair.partition("=")
        if not (name and equals and topic):
            raise ConfigError(f"--topic {pair} is not NAME=TOPIC, as thermal=/flir/image")
        topics[name] = topic
    given = None if args.depth_to_rgb == "tf" else Transform.parse(args.depth_to_rgb)
    read = ReadOptions(
        args.slop,
        args.queue_size,
        args.missing_after,
        args.rectified,
        given,
        topics,
        args.labels,
        args.seconds,
    )
    exports = {name: getattr(args, name) for name in ("png", "coco", "kitti") if getattr(args, name)}
    return Job(
        path,
        args.output,
        read,
        args.checkpoint,
        args.precision,
        args.originals,
        exports,
        args.labels_dir,
        args.split,
        args.rate,
        args.resume,
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


def _together(
    output: Path, found: Sequence[Replayed], counter: Callable[[Sequence[str]], Counter] | None
) -> str:
    """Writes a summary of all recordings; a few lines of it."""
    frames = sum(one.summary["segmented"] for one in found)
    seconds = sum(one.summary["seconds"] for one in found)
    still = sum(one.summary["still_pixels"] for one in found)
    kept = sum((one.summary["temporal_consistency"] or 0) * one.summary["still_pixels"] for one in found)
    content: dict[str, Any] = {
        "recordings": [one.name for one in found],
        "segmented": frames,
        "seconds": round(seconds, 3),
        "frames_per_second": round(frames / seconds, 3) if seconds else None,
        "temporal_consistency": kept / still if still else None,
        "scores": None,
    }
    lines = [f"all {len(found)} recordings: {frames} frames, {content['frames_per_second']} a second"]
    modalities = {tuple(one.summary["topics"]) for one in found}
    if counter is not None and len(modalities) == 1 and all(one.scores for one in found):
        parts = [part for one in found for part in one.scores]
        table, content["scores"] = counter(next(iter(modalities))).report(parts)
        lines += [f"  {line}" for line in table.splitlines()]
    write_whole(output / SUMMARY, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
    return "\n".join([*lines, f"  {output / SUMMARY}"])
