"""`asymfusion export`."""

from __future__ import annotations

import argparse
import functools
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from asymfusion_ros.atomic_write import check_place, whole
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.checkpoint.description import available_sets
from asymfusion_ros.checkpoint.digest import sha256
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.made_images import made_images
from asymfusion_ros.data.size_text import size_of
from asymfusion_ros.engine.engine_file import load_engine
from asymfusion_ros.engine.exported import load_exported
from asymfusion_ros.engine.runner import FrameRunner
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.engine.translator import Translator
from asymfusion_ros.errors import UserError
from asymfusion_ros.packaged import checkpoint_file

EXAMPLES = """\
  asymfusion export default --output default.onnx
  asymfusion export model.safetensors --output model.onnx --data data/nyudv2 --split val
  asymfusion export model.safetensors --output wide.onnx --size 1280x720
  asymfusion export default --output int8.onnx --precision int8 --data data/nyudv2
  asymfusion export default --format tensorrt --output default.engine
  asymfusion export night.safetensors --output night.onnx --data data/taskonomy
  asymfusion bench --checkpoint model.onnx
"""
BLANK_FRAMES = 4
SUFFIXES = {"onnx": ".onnx", "tensorrt": ".engine"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand."""
    parser.add_argument("checkpoint", help="a .safetensors file, or default for the package's")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="the .onnx or .engine file to write"
    )
    parser.add_argument(
        "--format",
        choices=tuple(SUFFIXES),
        help="onnx, for OpenVINO and ONNX Runtime, or tensorrt, built for this machine's GPU (default: by "
        "the suffix of --output)",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "fp16", "int8"),
        help="of the file's computation; what needs it stays in fp32. An onnx file: fp32 (default), or int8, "
        "for OpenVINO on a CPU without bf16. A tensorrt file: fp16 (default) or fp32",
    )
    parser.add_argument(
        "--calibration-split",
        default="train",
        metavar="SPLIT",
        help="whose frames of --data the ranges for int8 are measured on; labels are not needed "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--calibration-frames",
        type=int,
        default=60,
        metavar="N",
        help="so many of them, evenly spread (default: %(default)s)",
    )
    parser.add_argument(
        "--size",
        default="640x480",
        help="WIDTHxHEIGHT of the camera's images: only their aspect ratio matters; not even that to image "
        "translation, which stretches all to its own size (default: %(default)s)",
    )
    parser.add_argument(
        "--input-size",
        metavar="WxH",
        help="of the network's inputs, multiples of 8: fewer pixels are faster and give other labels "
        "(default: the checkpoint's)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder of frames to compare with the checkpoint on (default: made images)",
    )
    parser.add_argument("--split", default="val", help="which of its frames (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=20, help="at most so many (default: %(default)s)")


def run(args: argparse.Namespace) -> int:
    """Exports, compares, writes; the exit code. Raises UserError."""
    from asymfusion_ros.export import onnx_file, tensorrt_file
    from asymfusion_ros.export.accept import accepted
    from asymfusion_ros.export.half import to_half
    from asymfusion_ros.export.int8 import require_int8, to_int8

    tensorrt = _wants_tensorrt(args)
    check_place(args.output)
    if args.frames < 1:
        raise UserError(f"--frames {args.frames} must be 1 or more")
    width, height = size_of(args.size)
    names = None if args.data is None else Folder(args.data).names(args.split)[: args.frames]
    int8 = args.precision == "int8"
    calibration = calibration_names(args) if int8 else []
    target = tensorrt_file.built_for(_command(args)) if tensorrt else None  # before minutes of work
    checkpoint = load_checkpoint(args.checkpoint)
    if args.input_size is not None:
        input_width, input_height = size_of(args.input_size, "--input-size")
        checkpoint = checkpoint.at_input_size(input_height, input_width)
    if args.data is not None:
        Folder(args.data).check_modalities(checkpoint.config.modalities)
    path = checkpoint_file(args.checkpoint)
    digest = sha256(path)
    if checkpoint.target is not None and tensorrt:
        raise UserError(
            f"{args.checkpoint} is of image translation, which is exported as .onnx alone: name --output so; "
            "on a GPU the checkpoint itself runs, on torch"
        )
    if int8:
        require_int8()
        if checkpoint.target is not None:
            raise UserError(f"{args.checkpoint} is of image translation: its images need more than int8")
    use = Segmenter if checkpoint.target is None else Translator
    reference = use(checkpoint, device="cpu", precision="fp32", backend="torch")
    size = reference.network_size(height, width)
    inputs = list(_calibration_inputs(args, calibration, reference, size)) if int8 else []
    sets = available_sets(checkpoint.config.modalities)
    progress = functools.partial(tqdm, desc="export", unit="graph", disable=None)
    model = onnx_file.to_onnx(checkpoint, size, progress)
    precision = args.precision or ("fp16" if tensorrt else "fp32")
    if int8:
        model = to_int8(model, inputs)
    if target is not None:
        model = to_half(model) if precision == "fp16" else model
        built = functools.partial(tqdm, desc="tensorrt", unit="plan", disable=None)
        plans = tensorrt_file.build_plans(model, sets, built)

    def write(path: Path, checks: dict[str, Any]) -> None:
        onnx_file.describe(model, checkpoint, size, digest, checks, "int8" if int8 else "fp32")
        if target is None:
            path.write_bytes(model.SerializeToString())
        else:
            path.write_bytes(tensorrt_file.file_bytes(model, precision, target, plans))

    with whole(args.output) as partial:
        write(partial, {})
        if target is None:
            exported = use(load_exported(partial), device="cpu", precision=precision)
        else:
            exported = use(load_engine(partial), device="cuda")
        frames = tqdm(
            _frames(args, names, reference, height, width), desc="compare", unit="frame", disable=None
        )
        found = accepted(exported, reference, frames)
        checks = {exported.backend.name: found | {"frames_from": str(args.data or "made images")}}
        write(partial, checks)
    _print(args, size, sets, found, exported.backend.name)
    return 0


def _wants_tensorrt(args: argparse.Namespace) -> bool:
    """Raises UserError for options that do not go together."""
    kind = args.format or next((name for name, end in SUFFIXES.items() if end == args.output.suffix), None)
    if kind is None or args.output.suffix != SUFFIXES[kind]:
        wanted = SUFFIXES[kind] if kind else "or".join(f" {end} " for end in SUFFIXES.values()).strip()
        raise UserError(f"--output {args.output}: name it {wanted}, by which it is recognised")
    wrong = "int8" if kind == "tensorrt" else "fp16"
    if args.precision == wrong:
        other = "tensorrt" if wrong == "fp16" else "onnx"
        raise UserError(f"--precision {wrong} goes with --format {other}")
    return bool(kind == "tensorrt")


def calibration_names(args: argparse.Namespace) -> list[str]:
    """The frames that ranges for int8 are measured on. Raises UserError."""
    if args.data is None:
        raise UserError("--precision int8 needs --data: a folder of frames as the camera gives them")
    if args.calibration_frames < 1:
        raise UserError(f"--calibration-frames {args.calibration_frames} must be 1 or more")
    names = Folder(args.data).names(args.calibration_split)
    count = min(args.calibration_frames, len(names))
    return [names[place * len(names) // count] for place in range(count)]


def _calibration_inputs(
    args: argparse.Namespace, names: list[str], reference: FrameRunner, size: tuple[int, int]
) -> Iterator[dict[str, npt.NDArray[np.float32]]]:
    folder = Folder(args.data)
    for name in tqdm(names, desc="calibrate", unit="frame", disable=None):
        images = reference.images(folder.read(name, reference.modalities, label=False).images)
        inputs = reference.preprocess(images, reference.upload(images))
        (height, width), *_ = (x.shape[-2:] for x in inputs.values())
        if (height, width) != size:
            own = reference.reference(images)
            raise UserError(
                f"frame {name} of {args.data} has {own.width}x{own.height}, and --size is {args.size}: give "
                "its own"
            )
        yield {modality: x.numpy() for modality, x in inputs.items()}


def _command(args: argparse.Namespace) -> str:
    """What builds the file anew."""
    words = ["asymfusion", "export", args.checkpoint, "--format", "tensorrt", "--output", str(args.output)]
    words += ["--size", args.size, *(["--precision", args.precision] if args.precision else [])]
    words += ["--input-size", args.input_size] if args.input_size else []
    return shlex.join(words)


def _frames(
    args: argparse.Namespace, names: list[str] | None, reference: FrameRunner, height: int, width: int
) -> Iterator[Any]:
    spec = reference.checkpoint.input_spec
    if names is None:
        rng = np.random.default_rng(0)
        described = [spec.modality(name) for name in reference.modalities]
        for _ in range(min(args.frames, BLANK_FRAMES)):
            yield made_images(rng, described, height, width), None
        return
    folder = Folder(args.data)
    for name in names:
        frame = folder.read(name, reference.modalities)
        yield frame.images, frame.label


def _print(
    args: argparse.Namespace, size: tuple[int, int], sets: Any, found: dict[str, Any], runtime: str
) -> None:
    megabytes = args.output.stat().st_size / 1e6
    print(
        f"{args.output}: {megabytes:.1f} MB, network inputs of {size[1]}x{size[0]}, a graph for each of "
        f"{', '.join('+'.join(names) for names in sets)}"
    )
    if "agreement" not in found:
        print(
            f"on {found['frames']} frames, {runtime}'s images differ from the checkpoint's by "
            f"{found['largest']:.2g} of 255 levels at most, {found['mean']:.2g} on average"
        )
        return
    print(
        f"on {found['frames']} frames, {runtime} gives the checkpoint's class in {found['agreement']:.3%} "
        f"of the pixels; logits differ by {found['largest']:.2g} at most"
    )
    if "mean_iou" in found:
        print(f"mean IoU {found['mean_iou']:.4f}, the checkpoint's {found['mean_iou_of_checkpoint']:.4f}")
