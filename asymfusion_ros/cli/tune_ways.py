"""The ways that `asymfusion tune` tries: backends, precisions, threads and input sizes that there are."""

from __future__ import annotations

import argparse
import itertools
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.cli import export
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.size_text import size_of
from asymfusion_ros.engine.exported import load_exported
from asymfusion_ros.engine.precision import computes_bf16
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.tuning.tuning_file import Way

RUNTIMES = ("openvino", "onnxruntime")
NETWORK = "network"  # what it is called beside the tuning file, where it is exported
OWN = ""  # Way.size of the checkpoint's own


def wanted_sizes(args: argparse.Namespace, checkpoint: Checkpoint) -> list[tuple[str, InputSpec]]:
    """Those of --sizes, with what they make of the checkpoint's inputs. Raises UserError."""
    found = []
    for text in args.sizes or ():
        width, height = size_of(text, "--sizes")
        found.append((f"{width}x{height}", checkpoint.at_input_size(height, width).input_spec))
    return found


def other_sizes(own: InputSpec, sizes: Sequence[tuple[str, InputSpec]], image: RawImage) -> list[str]:
    """The sizes that are not the same as another, or as the checkpoint's own, for such images."""
    seen = {own.network_size(image.height, image.width)}
    found = []
    for text, spec in sizes:
        if (size := spec.network_size(image.height, image.width)) not in seen:
            seen.add(size)
            found.append(text)
    return found


def exported_files(
    args: argparse.Namespace, output: Path, sizes: Sequence[str], image: RawImage
) -> dict[str, Path]:
    """The checkpoint's exported file of each size, where a backend needs one. Raises UserError."""
    wanted = [name for name in args.backends or RUNTIMES if name in RUNTIMES and find_spec(name)]
    missing = [name for name in args.backends or () if not find_spec(name)]
    if missing:
        raise ConfigError(f"--backends {missing[0]}: it is not installed: pip install {missing[0]}")
    if not wanted:
        return {}
    found = {} if args.exported is None else {OWN: args.exported}
    to_make = [size for size in sizes if size not in found]
    if to_make and not (find_spec("onnx") and find_spec("onnxscript")):
        raise ConfigError(
            f"{' and '.join(wanted)} run exported files, and exporting needs more: pip install "
            "'asymfusion_ros[export]', give one with --exported, or leave them out with --backends torch"
        )
    for size in to_make:
        end = f"{NETWORK}_{size}" if size else NETWORK
        found[size] = output.with_name(f"{output.stem}_{end}.onnx")
        given = {"checkpoint": args.checkpoint, "output": found[size], "format": "onnx", "precision": None}
        given |= {"size": f"{image.width}x{image.height}", "input_size": size or None}
        export.run(Namespace(**given, data=None, split="val", frames=4))
    return found


def check_int8(path: Path, checkpoint_path: Path, checkpoint: Checkpoint) -> None:
    """Raises CheckpointError or ConfigError for a file of --int8 that is something else."""
    given = load_exported(path)
    if given.precision != "int8":
        raise ConfigError(f"--int8 {path} is in {given.precision}: export it with --precision int8")
    if not given.is_of(checkpoint_path):
        raise ConfigError(f"--int8 {path} is of another checkpoint than {checkpoint_path}: export it anew")
    own, its = checkpoint.input_spec, given.input_spec
    if (own.height, own.width) != (its.height, its.width):
        raise ConfigError(
            f"--int8 {path} has inputs of {its.width}x{its.height}, the checkpoint of "
            f"{own.width}x{own.height}: export it without --input-size"
        )


def ways_to_try(
    args: argparse.Namespace, checkpoint: Path, exported: Mapping[str, Path], sizes: Sequence[str]
) -> list[Way]:
    """``sizes``: as Way has them. ``exported``: a file of each, or none."""
    cores = len(os.sched_getaffinity(0))
    threads = args.threads or sorted({2**i for i in range(cores.bit_length()) if 2**i <= cores} | {cores})
    half = ["bf16"] if computes_bf16() else []
    ways = []
    for size, name in itertools.product(sizes, args.backends or ("torch", *RUNTIMES)):
        if name != "torch" and not (find_spec(name) and exported):
            continue
        model = str((checkpoint if name == "torch" else exported[size]).resolve())
        precisions = ["fp32", *(half if name != "onnxruntime" else [])]
        ways += [Way(model, name, "cpu", *one, size=size) for one in itertools.product(precisions, threads)]
    if args.int8 is not None:
        model = str(args.int8.resolve())
        ways += [Way(model, "openvino", "cpu", "int8", count) for count in threads]
    if torch.cuda.is_available() and (args.backends is None or "torch" in args.backends):
        model = str(checkpoint.resolve())
        ways += [
            Way(model, "torch", "cuda", precision, max(threads), size)
            for size, precision in itertools.product(sizes, ("fp32", "fp16", "bf16"))
        ]
    return ways


def remove_others(exported: Mapping[str, Path], chosen: Path) -> None:
    """What was exported at sizes that are not the choice."""
    for size, path in exported.items():
        if size and path.resolve() != chosen:
            path.unlink(missing_ok=True)
