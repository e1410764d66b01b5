"""NYU Depth v2, from the file that NYU publishes to the folder format."""

from __future__ import annotations

import argparse
from pathlib import Path

from asymfusion_ros.data.colouring import png
from asymfusion_ros.errors import UserError
from asymfusion_training.prepare.data_set import DataSet
from asymfusion_training.prepare.nyudv2_file import NyuFile
from asymfusion_training.prepare.nyudv2_splits import cut, facts, read_halves, shared_rooms
from asymfusion_training.prepare.writer import FolderWriter, make_frames

FRAMES, HEIGHT, WIDTH = 1449, 480, 640  # of NYU's file
DESCRIPTION = """\
# NYU Depth v2, made by `asymfusion prepare nyudv2`. A frame's name is its number, from 1, in the .mat file.
# Splits: train and val are cut from the standard 795 (trainval) and share no scene; test is the standard 654.
# Depth: {depth}
name: nyudv2
labels: nyu40
depth_scale: 0.001  # metres per stored unit
void: 255
"""
DEPTHS = {
    False: "the data set's in-painted `depths`; it has no holes, as a camera's depth has.",
    True: "the camera's own `rawDepths`; 0 where it measured nothing.",
}


def prepare_nyudv2(mat: Path, output: Path, splits: Path | None, raw_depth: bool, workers: int) -> str:
    """Makes the folder and returns a summary. Raises UserError naming what is missing or wrong.

    RGB becomes PNG, not JPEG: what is lost once is lost for good, and 0.7 GB is little beside the .mat's 2.8.
    """
    with NyuFile(mat, facts()["classes"], raw_depth) as source:
        if splits is not None:
            trainval, test = read_halves(splits, source.frames)
        elif (source.frames, source.height, source.width) == (FRAMES, HEIGHT, WIDTH):
            trainval, test = facts()["train"], facts()["test"]
        else:
            raise UserError(
                f"{mat} has {source.frames} frames of {source.width}x{source.height}, not NYU's {FRAMES} of "
                f"{WIDTH}x{HEIGHT}: the standard split does not fit; give its own with --splits"
            )
        chosen = cut(trainval, test, source.scenes)
        writer = FolderWriter(output, DESCRIPTION.format(depth=DEPTHS[raw_depth]))

        def make(number: int) -> bool:
            name = frame_name(number)
            new = False
            for part, read in (("rgb", source.rgb), ("depth", source.depth), ("label", source.label)):
                if not writer.has(part, name):
                    writer.write(part, name, png(read(number)))
                    new = True
            return new

        numbers = sorted({*chosen.trainval, *chosen.test})
        new = make_frames(make, numbers, "nyudv2", workers)
        lists = {"train": chosen.train, "val": chosen.val, "trainval": chosen.trainval, "test": chosen.test}
        writer.finish({split: [frame_name(number) for number in lists[split]] for split in lists})
        shared = shared_rooms(chosen.train, chosen.val, source.scenes)
    lines = [
        f"{output}: {len(numbers)} frames of {source.width}x{source.height}, {new} of them made now",
        "  " + ", ".join(f"{split} {len(lists[split])}" for split in lists),
    ]
    if shared:
        lines.append(f"  warning: train and val share {len(shared)} scenes, {shared[0]} the first")
    return "\n".join(lines)


def frame_name(number: int) -> str:
    """Of a frame number, from 1."""
    return f"{number:06d}"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mat", type=Path, metavar="FILE", required=True, help="the file that NYU publishes (2.8 GB)"
    )
    parser.add_argument(
        "--splits", type=Path, metavar="FILE", help="NYU's splits.mat (default: the standard split, built in)"
    )
    parser.add_argument(
        "--raw-depth",
        action="store_true",
        help="the camera's depth with its holes, not the in-painted one",
    )


NYUDV2 = DataSet(
    "nyudv2",
    "NYU Depth v2, from nyu_depth_v2_labeled.mat",
    "Splits: train (686) and val (109) share no scene and make up trainval, the standard 795; test is\n"
    "the standard 654. An interrupted call goes on where it stopped when it is given again.",
    """\
  asymfusion prepare nyudv2 --mat nyu_depth_v2_labeled.mat --output data/nyudv2
  asymfusion prepare nyudv2 --mat nyu_depth_v2_labeled.mat --output data/nyudv2_raw --raw-depth
  asymfusion prepare nyudv2 --mat nyu_depth_v2_labeled.mat --splits splits.mat --output data/nyudv2
""",
    _add_arguments,
    lambda args: prepare_nyudv2(args.mat, args.output, args.splits, args.raw_depth, args.workers),
)
