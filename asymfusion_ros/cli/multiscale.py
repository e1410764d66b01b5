"""`asymfusion multiscale`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asymfusion_ros.checkpoint import Checkpoint, check_output, load_checkpoint
from asymfusion_ros.checkpoint.description import views_of
from asymfusion_ros.data.input_spec import GRANULE
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.inspection.provenance import scores
from asymfusion_ros.network.views import scaled

EXAMPLES = """\
  asymfusion multiscale default --scales 0.75 1.0 1.25 --flip --output three_scales.safetensors
  asymfusion multiscale default --flip --output mirrored.safetensors
  asymfusion evaluate three_scales.safetensors --data data/nyudv2 \\
      --calibrate calibrated.safetensors --check-precisions checked.safetensors
"""
MOST = 8.0  # times the checkpoint's input size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's options."""
    add = parser.add_argument
    add("checkpoint", metavar="CKPT", help="a .safetensors file, or 'default'; its weights stay as they are")
    add(
        "--scales",
        nargs="+",
        type=float,
        default=[1.0],
        metavar="FACTOR",
        help="sizes at which each frame is predicted, as factors of the checkpoint's input size (default: "
        "1.0)",
    )
    add("--flip", action="store_true", help="predict the mirror image of each size too")
    add("--output", type=Path, required=True, metavar="FILE", help="the .safetensors checkpoint to write")


def run(args: argparse.Namespace) -> int:
    """Writes the checkpoint, and says what a frame then costs. Raises UserError."""
    check_output(args.output)
    checkpoint = load_checkpoint(args.checkpoint)
    made = multiscale(checkpoint, args.scales, args.flip)
    provenance = {
        name: value
        for name, value in made.provenance.items()
        if name not in ("calibrated", *scores(made.provenance))
    }
    replace(made, provenance={**provenance, "views_of": Path(args.checkpoint).name}).save(args.output)
    before, after = (sum(height * width for height, width in one.view_sizes) for one in (checkpoint, made))
    listed = ", ".join(f"{width}x{height}" for height, width in dict.fromkeys(made.view_sizes))
    print(
        f"{args.output}: a frame is predicted at {listed}{', mirrored too' if args.flip else ''}: "
        f"{after / before:.1f} times the work of {args.checkpoint}\n"
        "Its confidence is not calibrated, and lower precisions are not checked: asymfusion evaluate "
        f"{args.output} --data DIR --calibrate CALIBRATED --check-precisions CHECKED"
    )
    return 0


def multiscale(checkpoint: Checkpoint, scales: Sequence[float], flip: bool) -> Checkpoint:
    """The same weights, which predict a frame at several sizes and mirrored, and average. Without what was
    measured of the single prediction: temperatures, disagreements and the checks of lower precisions.

    scales: factors of the input size; the largest view becomes the input size. Raises ConfigError.
    """
    spec = checkpoint.input_spec
    if spec.several_views:
        raise ConfigError("this checkpoint already averages several views: give the one that it was made of")
    wrong = next((scale for scale in scales if not 0 < scale <= MOST), None)
    if wrong is not None:
        raise ConfigError(
            f"--scales: {wrong:g} is not a factor above 0 and at most {MOST:g}; use 0.75 1.0 1.25"
        )
    given: dict[tuple[int, int], float] = {}
    for scale in scales:
        size = scaled((spec.height, spec.width), scale, GRANULE)
        if size in given:
            raise ConfigError(
                f"--scales: {given[size]:g} and {scale:g} are both {size[1]}x{size[0]}, in steps of "
                f"{GRANULE} pixels: give one of them"
            )
        given[size] = scale
    if list(given) == [(spec.height, spec.width)] and not flip:
        raise ConfigError("one size and no mirror image is what the checkpoint does: give --scales or --flip")
    height, width = max(given)
    relative = tuple(scale / max(scales) for scale in scales)
    spec = replace(spec, height=height, width=width, view_scales=relative, view_flip=flip)
    views_of(checkpoint.config, spec)
    return replace(
        checkpoint, input_spec=spec, temperatures={}, disagreements={}, precision_checks=(), file=None
    )
