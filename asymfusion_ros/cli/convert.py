"""`asymfusion convert`."""

from __future__ import annotations

import argparse
from pathlib import Path

from asymfusion_ros.checkpoint import save_checkpoint
from asymfusion_ros.checkpoint.pickles import load_tensors
from asymfusion_ros.checkpoint.released import convert_released, released_config
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import NYU40, LabelSet

EXAMPLES = """\
  asymfusion convert model-best.pth.tar asymfusion101.safetensors
"""
DEPTH_DIVISOR = 5000.0  # the authors' code feeds the network stored depth / 5000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command\'s options."""
    parser.add_argument("released", type=Path, help="a file saved by the authors' code (yikaiw/AsymFusion)")
    parser.add_argument("output", type=Path, help="the .safetensors checkpoint to write")
    parser.add_argument(
        "--depth-unit",
        type=float,
        default=0.001,
        metavar="METRES",
        help="metres in one stored unit of the depth images it was trained on (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Runs the command; returns its exit code. Raises UserError."""
    weights = load_tensors(args.released)
    config = released_config(weights)
    names = NYU40 if config.classes == len(NYU40) else _numbered(config.classes)
    spec = InputSpec(
        height=480,
        width=640,
        depth_mean=0.0,
        depth_std=DEPTH_DIVISOR * args.depth_unit,
        depth_max=65.535,  # it clips nothing that 16-bit millimetres hold
        depth_invalid=0.0,
    )
    provenance = {"converted_from": args.released.name, "code": "yikaiw/AsymFusion"}
    save_checkpoint(args.output, convert_released(weights, config), config, names, spec, provenance)
    print(
        f"{args.output}: RefineNet with {config.encoder}, {config.classes} classes ({names.name}), "
        f"{' + '.join(config.modalities)}"
    )
    return 0


def _numbered(classes: int) -> LabelSet:
    return LabelSet("unnamed", tuple(f"class {i}" for i in range(classes)))
