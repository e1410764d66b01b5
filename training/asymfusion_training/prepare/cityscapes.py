"""Cityscapes, from its official tree to the folder format."""

from __future__ import annotations

import argparse
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.colouring import png
from asymfusion_ros.data.labels import CITYSCAPES19, VOID
from asymfusion_ros.data.text_file import parse_json
from asymfusion_training.prepare.cityscapes_tree import CityFrame, find_frames
from asymfusion_training.prepare.data_set import DataSet
from asymfusion_training.prepare.images import SourceError, png_size, read_image
from asymfusion_training.prepare.writer import FolderWriter, make_frames

# The labelIds that are scored, in the order of the train ids; the others of 0 to 33 are void.
SCORED_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
LAST_ID = 33
DEPTH_SCALE = 0.005
DISPARITY_SCALE = 1 / 256
DEPTH_DESCRIPTION = f"""\
# Cityscapes, made by `asymfusion prepare cityscapes`.
# Depth: baseline x fx / disparity, by each image's camera file; 0 where there is none, or it is
# beyond {65535 * DEPTH_SCALE:.0f} m. Millimetres in 16 bits would end at 65 m, within the street.
name: cityscapes
labels: cityscapes19
depth_scale: {DEPTH_SCALE}  # metres per stored unit
void: 255
"""
DISPARITY_DESCRIPTION = f"""\
# Cityscapes, made by `asymfusion prepare cityscapes --disparity`.
# In place of depth: the disparity of the stereo pair in pixels, 0 where there is none, or endless distance.
# So what is called metres elsewhere is pixels here, and large where near: a recipe's depth_mean, depth_std
# and depth_max are pixels too, and a checkpoint trained on it takes disparities, not a camera's metres.
name: cityscapes_disparity
labels: cityscapes19
depth_scale: {DISPARITY_SCALE}  # pixels of disparity per stored unit
void: 255
"""


def prepare_cityscapes(
    root: Path, output: Path, disparity: bool = False, partial: bool = False, workers: int = 1
) -> str:
    """Makes the folder and returns a summary. Raises UserError naming what is missing or wrong.

    disparity: store the disparity itself, not metres. partial: accept fewer frames than the official tree's.
    The images are hard links where the disk allows it: they are PNGs as they are.
    """
    splits = find_frames(root, camera=not disparity, partial=partial)
    writer = FolderWriter(output, DISPARITY_DESCRIPTION if disparity else DEPTH_DESCRIPTION)

    def make(frame: CityFrame) -> bool:
        name, new = frame.name, False
        parts = ["rgb", "depth", "label"] if frame.labelled else ["rgb", "depth"]
        if all(writer.has(part, name) for part in parts):
            return False
        size = png_size(frame.path("leftImg8bit"))
        if not writer.has("depth", name):
            writer.write("depth", name, png(_depth(frame, size, disparity)))
            new = True
        if frame.labelled and not writer.has("label", name):
            writer.write("label", name, png(_label(frame, size)))
            new = True
        if not writer.has("rgb", name):
            writer.link("rgb", name, frame.path("leftImg8bit"))
            new = True
        return new

    frames = [frame for split in splits.values() for frame in split]
    new = make_frames(make, frames, "cityscapes", workers)
    unlabelled = frozenset(frame.name for frame in frames if not frame.labelled)
    writer.finish({split: [frame.name for frame in listed] for split, listed in splits.items()}, unlabelled)
    lines = [
        f"{output}: {len(frames)} frames, {new} of them made now",
        "  " + ", ".join(f"{split} {len(listed)}" for split, listed in splits.items()),
    ]
    if writer.copied:
        lines.append(f"  RGB is copied: {output} cannot hold hard links to {root}")
    if unlabelled:
        lines.append(f"  {len(unlabelled)} frames of test are without labels, as in {root}")
    return "\n".join(lines)


def _depth(frame: CityFrame, size: tuple[int, int], disparity: bool) -> npt.NDArray[np.uint16]:
    """H x W uint16 in the unit of depth_scale, 0 where there is none."""
    path = frame.path("disparity")
    stored = _sized(path, size, np.uint16)
    if disparity:
        return np.maximum(stored, 1) - np.uint16(1)
    return depth_units(*camera(frame.path("camera")))[stored]


def _label(frame: CityFrame, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """H x W uint8 of train ids 0 to 18, 255 where void."""
    path = frame.path("gtFine")
    ids = _sized(path, size, np.uint8)
    wrong = ids[(ids > LAST_ID) & (ids != VOID)]
    if wrong.size:
        raise SourceError(f"{path} has id {wrong[0]}, but labelIds are 0 to {LAST_ID}: unpack gtFine again")
    return _train_ids()[ids]


def _sized(path: Path, size: tuple[int, int], dtype: type[np.unsignedinteger[Any]]) -> npt.NDArray[Any]:
    image = read_image(path)
    if image.ndim != 2 or image.dtype != dtype:
        raise SourceError(f"{path} is not an image of one channel and {np.dtype(dtype).itemsize * 8} bits")
    if image.shape != size:
        raise SourceError(
            f"{path} is {image.shape[1]}x{image.shape[0]}, but its image is {size[1]}x{size[0]}"
        )
    return image


@lru_cache(maxsize=1)
def _train_ids() -> npt.NDArray[np.uint8]:
    """256 uint8: the train id of each labelId."""
    table = np.full(256, VOID, np.uint8)
    table[list(SCORED_IDS)] = np.arange(len(CITYSCAPES19))
    return table


@lru_cache(maxsize=256)  # a city has one or a few cameras
def depth_units(baseline: float, focal: float) -> npt.NDArray[np.uint16]:
    """The stored depth, in DEPTH_SCALE metres, for each of the 65536 values p of a disparity file.

    Disparity d = (p - 1) / 256 pixels; depth = baseline x fx / d metres. 0, no depth: for p = 0 (nothing
    measured), d = 0 (endlessly far) and what is beyond 16 bits. baseline: metres. focal: fx in pixels.
    """
    values = np.zeros(65536)
    d = (np.arange(2, 65536) - 1) / 256
    values[2:] = np.rint(baseline * focal / d / DEPTH_SCALE)
    values[values > 65535] = 0
    return values.astype(np.uint16)


def camera(path: Path) -> tuple[float, float]:
    """(baseline in metres, fx in pixels) of a camera file. Raises SourceError where they are not there."""
    try:
        values = parse_json(path.read_text())
        pair = float(values["extrinsic"]["baseline"]), float(values["intrinsic"]["fx"])
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{path} does not give extrinsic.baseline and intrinsic.fx ({type(error).__name__}: {error}): "
            "unpack camera again"
        ) from error
    if not all(math.isfinite(value) and value > 0 for value in pair):
        raise SourceError(f"{path}: baseline {pair[0]} and fx {pair[1]} must be above 0")
    return pair


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        required=True,
        help="the folder that holds leftImg8bit and the others",
    )
    parser.add_argument(
        "--disparity", action="store_true", help="store the disparity, in pixels, in place of depth in metres"
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="take a tree of fewer frames than the official 2975, 500 and 1525",
    )


CITYSCAPES = DataSet(
    "cityscapes",
    "Cityscapes, from its official tree",
    "Needs leftImg8bit, gtFine, disparity and camera (each KIND_trainvaltest.zip) unpacked in one\n"
    "folder. Labels become the 19 train ids, disparity metric depth by each image's camera file; images\n"
    "are hard links. An interrupted call goes on where it stopped when it is given again.",
    """\
  asymfusion prepare cityscapes --root cityscapes --output data/cityscapes
  asymfusion prepare cityscapes --root cityscapes --output data/cityscapes_disparity --disparity
""",
    _add_arguments,
    lambda args: prepare_cityscapes(args.root, args.output, args.disparity, args.partial, args.workers),
)
