"""The options of commands that segment recordings: topics, pairing and registration; the network."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import asymfusion_ros.ros  # noqa: F401  (how long threads spin, which torch reads when it is loaded)
from asymfusion_ros.data.transform import Transform
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.recordings.sources import positive
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.settings import Setting, declared

# The node's parameters that are options here, under the same names
SHARED = ("slop", "queue_size", "missing_after", "rectified", "depth_to_rgb")


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Adds them."""
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


def read_options(args: argparse.Namespace) -> ReadOptions:
    """What was given. Raises ConfigError."""
    topics = {name: topic for name, topic in (("rgb", args.rgb), ("depth", args.depth)) if topic}
    for pair in args.topic:
        name, equals, topic = pair.partition("=")
        if not (name and equals and topic):
            raise ConfigError(f"--topic {pair} is not NAME=TOPIC, as thermal=/flir/image")
        topics[name] = topic
    return ReadOptions(
        args.slop,
        args.queue_size,
        args.missing_after,
        args.rectified,
        None if args.depth_to_rgb == "tf" else Transform.parse(args.depth_to_rgb),
        topics,
        seconds=args.seconds,
    )


def _type(one: Setting) -> Callable[[str], Any]:
    kind = {"float": float, "int": int}.get(getattr(one.type, "__name__", ""), str)

    def parse(text: str) -> Any:
        return one.check(kind(text), "--")

    parse.__name__ = one.described  # argparse names it where the text is none
    return parse


def number(kind: Callable[[str], float], low: float, high: float, described: str) -> Callable[[str], float]:
    """An argparse type: a number of ``kind`` from ``low`` to ``high``."""

    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError
        return value

    parse.__name__ = described
    return parse


whole = number(int, 1, math.inf, "whole number from 1")
share = number(float, 0, 1, "number from 0 to 1")


def add_network(parser: argparse.ArgumentParser) -> Any:
    """Adds the options that choose what segments; their group."""
    group = parser.add_argument_group("the network")
    group.add_argument(
        "--checkpoint",
        default="default",
        help="a .safetensors or exported .onnx file (default: the package's)",
    )
    add_backend(group)
    return group


def add_backend(group: Any) -> None:
    """Adds the options that choose how a network is run."""
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    group.add_argument(
        "--precision", default="auto", help="auto, fp32, fp16, bf16 or int8 (default: %(default)s)"
    )
    group.add_argument(
        "--backend", default="auto", help="auto, torch, openvino or onnxruntime (default: %(default)s)"
    )


def add_labels(parser: argparse.ArgumentParser, title: str, otherwise: str = "") -> None:
    """Adds the options that say where labels are, under ``title``. otherwise: where they are by default."""
    labels = parser.add_argument_group(title).add_mutually_exclusive_group()
    labels.add_argument(
        "--labels",
        metavar="TOPIC",
        help="of the bag: class indices in mono8, 255 for none, the frames' stamps",
    )
    labels.add_argument(
        "--labels-dir",
        type=Path,
        metavar="DIR",
        help="PNGs of class indices, called by the frames' stamps or names, or as many as there are frames"
        + otherwise,
    )


def open_segmenter(args: argparse.Namespace, topics: Iterable[str]) -> Segmenter:
    """That of ``add_network``'s options. Raises UserError, also where ``topics`` has a modality that the
    checkpoint does not take."""
    segmenter = Segmenter.from_checkpoint(args.checkpoint, args.device, args.precision, args.backend)
    check_topics(topics, segmenter.modalities)
    return segmenter


def check_topics(topics: Iterable[str], modalities: Sequence[str]) -> None:
    """Raises ConfigError where ``topics`` has a modality that the checkpoint does not take."""
    unknown = [name for name in topics if name not in modalities]
    if unknown:
        raise ConfigError(
            f"a topic of {unknown[0]} is given, but the checkpoint takes {', '.join(modalities)}"
        )


def say(line: str) -> None:
    """A line for the user, beside what a command prints."""
    print(line, file=sys.stderr, flush=True)
