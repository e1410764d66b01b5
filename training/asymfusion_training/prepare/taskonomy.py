"""Taskonomy, from its official tree to the folder format."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.prepare.data_set import DataSet
from asymfusion_training.prepare.images import SourceError
from asymfusion_training.prepare.shards import write_shards
from asymfusion_training.prepare.taskonomy_images import view_images
from asymfusion_training.prepare.taskonomy_report import SKIPPED, description, summary
from asymfusion_training.prepare.taskonomy_splits import (
    TRAIN,
    VAL,
    Splits,
    Wanted,
    check_apart,
    drawn,
    listed,
)
from asymfusion_training.prepare.taskonomy_tree import Tree, chosen_domains, find_views
from asymfusion_training.prepare.writer import FolderWriter, attempt_frames

SHARD = 1000  # frames: of 512x512 and three domains about 1 GB


@dataclass(frozen=True)
class Options:
    """See ``asymfusion prepare taskonomy --help``. shards: frames of each, None for a folder of files."""

    domains: Sequence[str]
    buildings: Sequence[str] | None = None
    lists: Sequence[str] | None = None
    wanted: Wanted = Wanted()
    shared_buildings: bool = False
    skip: bool = False
    shards: int | None = None
    workers: int = 1


def prepare_taskonomy(root: Path, output: Path, options: Options) -> str:
    """Makes the folder and returns a summary. Raises UserError naming what is missing or wrong.

    Images that can stay as they are become hard links where the disk allows it. Without ``skip`` a view that
    some domain lacks, or that cannot be used, ends it; with it such views are listed in skipped.tsv.
    """
    tree = find_views(root, chosen_domains(options.domains), options.buildings)
    splits, reasons = _splits(tree, options)
    writer = FolderWriter(output, description(tree, splits, options.shards), tuple(tree.domains))
    files = {split: views for split, views in splits.items() if not (options.shards and split == "train")}
    wrong: list[tuple[str, SourceError]] = []
    new = 0
    if options.shards and "train" in splits:
        # Training reads frames one after another: a shard's own order should be any order.
        views = _shuffled(splits["train"])

        def encode(view: str) -> Mapping[str, bytes]:
            return {modality: image.data for modality, image in view_images(tree, view).items()}

        sharded = write_shards(output, "train", views, options.shards, encode, options.workers, options.skip)
        new, wrong = sharded.new, sharded.wrong

    def make(view: str) -> bool:
        if all(writer.has(modality, view) for modality in tree.domains):
            return False
        for modality, image in view_images(tree, view).items():
            if writer.has(modality, view):
                continue
            if image.original:
                writer.link(modality, view, image.path)
            else:
                writer.write(modality, view, image.data)
        return True

    made, unusable = attempt_frames(
        make, [view for part in files.values() for view in part], "views", options.workers
    )
    new, wrong = new + made, wrong + unusable
    if unusable and not options.skip:
        others = f" (and {len(unusable) - 1} more views are wrong)" if len(unusable) > 1 else ""
        raise UserError(
            f"{unusable[0][1]}{others}; the rest is made: mend it and run the same command again, "
            "or leave such views out by --unusable skip"
        )
    reasons.update((view, str(error)) for view, error in wrong)
    kept = {split: [view for view in views if view not in reasons] for split, views in splits.items()}
    empty = next((split for split, views in kept.items() if not views), None)
    if empty is not None:
        raise UserError(f"no view of {empty} can be used: {next(iter(reasons.values()))}")
    if reasons:
        lines = [f"{view}\t{reason}\n" for view, reason in sorted(reasons.items())]
        write_whole(output / SKIPPED, "".join(lines).encode())
    writer.finish({split: kept[split] for split in files})
    wanted = options.wanted if options.lists is None else None
    return summary(output, kept, new, reasons, writer.copied, wanted)


def _splits(tree: Tree, options: Options) -> tuple[Splits, dict[str, str]]:
    """The views of each split, and why others cannot be in one. Raises UserError where there are others and
    they are not to be skipped, and for splits that share a building."""
    if options.lists is None:
        missing = tree.missing
        if missing is not None and not options.skip:
            by_domain = ", ".join(f"{folder} {count}" for folder, count in missing.domains.items())
            raise UserError(
                f"{missing.first} is missing: {len(missing.views)} views lack a domain ({by_domain}) and "
                f"{len(tree.views)} have all; leave the former out by --unusable skip, or unpack those "
                "domains again"
            )
        views = () if missing is None else missing.views
        return drawn(tree.views, options.wanted), dict.fromkeys(views, "a domain lacks it")
    splits, absent = listed(options.lists, set(tree.views), options.wanted)
    if absent and not options.skip:
        raise UserError(
            f"{absent[0]} is listed, but not in {tree.root} with all domains ({len(absent)} such views): "
            "leave them out by --unusable skip, or unpack those domains again"
        )
    if not options.shared_buildings:
        check_apart(splits)
    return splits, dict.fromkeys(absent, "it is listed, but some domain or all lack it")


def _shuffled(views: Sequence[str]) -> list[str]:
    """In an order that does not depend on which other views there are."""
    return sorted(views, key=lambda view: hashlib.sha256(view.encode()).digest())


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        required=True,
        help="the folder that holds a folder for each domain",
    )
    parser.add_argument(
        "--domains",
        nargs="+",
        metavar="NAME",
        required=True,
        help="the inputs, of depth, normal, shade, edge and texture (or official names: depth is "
        "depth_zbuffer, depth_euclidean can be given); rgb, the target, is added",
    )
    parser.add_argument("--buildings", nargs="+", metavar="NAME", help="only of these (default: of all)")
    parser.add_argument(
        "--train", type=_count, default=TRAIN, metavar="N", help="views, or all (default: %(default)s)"
    )
    parser.add_argument(
        "--val", type=_count, default=VAL, metavar="N", help="likewise (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: %(default)s)")
    parser.add_argument(
        "--split-list",
        nargs="+",
        metavar="FILE",
        help="not drawn: train=FILE val=FILE of a view a line, or one official .csv of buildings, of whose "
        "parts --train and --val views are drawn",
    )
    parser.add_argument(
        "--shared-buildings", action="store_true", help="take lists of which two have views of one building"
    )
    parser.add_argument(
        "--unusable",
        choices=("refuse", "skip"),
        default="refuse",
        help="a view that some domain lacks, that does not decode or has no depth: end there, or leave it "
        "out and list it in skipped.tsv (default: %(default)s)",
    )
    parser.add_argument(
        "--shards",
        type=int,
        nargs="?",
        const=SHARD,
        metavar="FRAMES",
        help=f"train in tar files of webdataset's form, of so many frames each ({SHARD}), in place of a file "
        "for each image: for more views than a folder holds",
    )


def _count(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of views: give 1 or more, or all")
    return int(text)


def _prepare(args: argparse.Namespace) -> str:
    if args.shards is not None and args.shards < 1:
        raise ConfigError(f"--shards is {args.shards}; a tar file has 1 frame or more")
    options = Options(
        args.domains,
        args.buildings,
        args.split_list,
        Wanted(args.train, args.val, args.seed),
        args.shared_buildings,
        args.unusable == "skip",
        args.shards,
        args.workers,
    )
    return prepare_taskonomy(args.root, args.output, options)


TASKONOMY = DataSet(
    "taskonomy",
    "Taskonomy, for image translation, from its official tree",
    "Needs a folder for each domain, with DOMAIN/BUILDING/point_P_view_V_domain_DOMAIN.png. No building is\n"
    "in both train and val, unless lists say so. Depth stays in 1/512 m, 0 where there is none. An\n"
    "interrupted call goes on where it stopped when it is given again.",
    """\
  asymfusion prepare taskonomy --root taskonomy --domains depth shade --output data/taskonomy
  asymfusion prepare taskonomy --root taskonomy --domains normal texture --output data/sample \\
      --split-list train=train_domain.txt val=val_domain.txt --shared-buildings
  asymfusion prepare taskonomy --root taskonomy --domains depth shade --train all --shards \\
      --split-list train_val_test_fullplus.csv --output data/taskonomy_full
""",
    _add_arguments,
    _prepare,
)
