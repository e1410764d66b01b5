"""Which views of Taskonomy to train on and which to score on: drawn by whole buildings, or as lists say."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asymfusion_ros.data.folder import LONGEST_SPLIT
from asymfusion_ros.data.text_file import read_text
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.prepare.taskonomy_tree import DOMAINS, OTHERS, building

TRAIN, VAL = 8000, 1000  # views, as in the paper
SPLIT = re.compile(r"[A-Za-z]\w{0,31}")
VIEW = re.compile(r"(point_\d+_view_\d+)(?:_domain_(?:\w+|\{domain\}))?(?:\.png)?")
FOLDERS = {"{domain}", *DOMAINS.values(), *OTHERS}
OFFICIAL = ["id", "train", "val", "test"]

Splits = dict[str, list[str]]


@dataclass(frozen=True)
class Wanted:
    """train, val: how many views to draw, None for all that there are. seed: what they are drawn by."""

    train: int | None = TRAIN
    val: int | None = VAL
    seed: int = 0

    def of(self, split: str) -> int | None:
        """Of train, or of one to score on."""
        return self.train if split == "train" else self.val


def drawn(views: Sequence[str], wanted: Wanted) -> Splits:
    """train and val, of which no building is in both.

    The buildings are drawn first, val's as many as its share of the views, and more while they have too few;
    then the views of each part. Raises UserError where all views are of one building.
    """
    by_building: dict[str, list[str]] = {}
    for view in views:
        by_building.setdefault(building(view), []).append(view)
    if len(by_building) < 2:
        name = next(iter(by_building))
        raise UserError(
            f"all views are of one building{f', {name}' if name else ''}: train and val need one each; add "
            "another, or give lists by --split-list"
        )
    rng = np.random.default_rng(wanted.seed)
    names = sorted(by_building)
    order = [names[index] for index in rng.permutation(len(names))]
    train, val = wanted.train or len(views), wanted.val or len(views) // 9
    share = max(1, min(len(order) - 1, round(len(order) * val / (train + val))))
    while share < len(order) - 1 and sum(len(by_building[name]) for name in order[:share]) < val:
        share += 1
    parts = {"train": order[share:], "val": order[:share]}
    pools = {
        split: [view for name in sorted(part) for view in by_building[name]] for split, part in parts.items()
    }
    return {split: _some(pool, wanted.of(split), rng) for split, pool in pools.items()}


def _some(views: Sequence[str], count: int | None, rng: np.random.Generator) -> list[str]:
    """``count`` of them, drawn, in order; all where there are no more."""
    if count is None or count >= len(views):
        return list(views)
    return [views[index] for index in np.sort(rng.choice(len(views), count, replace=False))]


def listed(files: Sequence[str], there: set[str], wanted: Wanted) -> tuple[Splits, list[str]]:
    """The splits that files list, and those of their views that are not in ``there``, which are left out.

    files: SPLIT=FILE of views each, or one .csv of buildings in the official form, of whose parts the wanted
    numbers are drawn. Raises UserError for a file that is not that, and where nothing of a split is there.
    """
    if len(files) == 1 and "=" not in files[0]:
        splits = official(Path(files[0]), there)
        rng = np.random.default_rng(wanted.seed)
        return {split: _some(views, wanted.of(split), rng) for split, views in splits.items()}, []
    splits, absent = {}, []
    for text in files:
        split, equals, path = text.partition("=")
        if not equals or not SPLIT.fullmatch(split):
            raise ConfigError(
                f"--split-list {text!r}: give SPLIT=FILE for each list (train=train_domain.txt), or one .csv "
                "of buildings"
            )
        if split in splits:
            raise ConfigError(f"--split-list: {split} is given twice")
        views = listed_views(Path(path))
        found = [view for view in views if view in there]
        absent += [view for view in views if view not in there]
        if not found:
            raise UserError(f"none of the {len(views)} views of {path} is there, {views[0]} the first")
        splits[split] = found
    return splits, absent


def listed_views(path: Path) -> list[str]:
    """A view a line: BUILDING/point_P_view_V, or any domain's file of it (``{domain}/...`` too).

    Raises UserError for a line that is neither, or that comes twice.
    """
    views: dict[str, int] = {}
    for number, line in enumerate(read_text(path, LONGEST_SPLIT).splitlines(), 1):
        if not line.strip():
            continue
        *folders, name = line.strip().split("/")
        match = VIEW.fullmatch(name)
        if folders and folders[0] in FOLDERS:
            folders = folders[1:]
        if match is None or len(folders) > 1 or any(not one or one.startswith(".") for one in folders):
            raise UserError(
                f"{path}, line {number}: {line.strip()[:80]!r} is no view: write BUILDING/point_P_view_V"
            )
        view = "/".join([*folders, match[1]])
        if view in views:
            raise UserError(f"{path}, line {number}: {view} is in line {views[view]} too")
        views[view] = number
    if not views:
        raise UserError(f"{path} lists no views")
    return list(views)


def official(path: Path, views: set[str]) -> Splits:
    """The views of the buildings that an official list (id,train,val,test) gives to each split."""
    rows = list(csv.reader(read_text(path, LONGEST_SPLIT).splitlines()))
    if not rows or [cell.strip() for cell in rows[0]] != OFFICIAL:
        raise UserError(
            f"{path} is no list of buildings, which begins with {','.join(OFFICIAL)}: give lists of views as "
            "SPLIT=FILE"
        )
    place: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if not row:
            continue
        marks = [cell.strip() for cell in row[1:]]
        if len(marks) != 3 or sorted(marks) != ["0", "0", "1"]:
            raise UserError(
                f"{path}, line {number}: {','.join(row)[:80]!r} does not put a building into one split: "
                "write name,1,0,0 for train, name,0,1,0 for val"
            )
        name, split = row[0].strip(), OFFICIAL[1 + marks.index("1")]
        if place.setdefault(name, split) != split:
            raise UserError(f"{path}, line {number}: {name} is in {place[name]} already")
    splits: Splits = {}
    for view in sorted(views):
        if building(view) in place:
            splits.setdefault(place[building(view)], []).append(view)
    if "train" not in splits:
        raise UserError(f"no view is of a building that {path} gives to train ({len(place)} buildings)")
    return {split: splits[split] for split in OFFICIAL[1:] if split in splits}


def check_apart(splits: Mapping[str, Sequence[str]]) -> None:
    """Raises UserError for a building that two splits share: a score on a place that was trained on says
    little about another."""
    first: dict[str, str] = {}
    shared: dict[str, str] = {}
    for split, views in splits.items():
        for name in {building(view) for view in views}:
            if first.setdefault(name, split) != split:
                shared[name] = f"{first[name]} and {split}"
    if shared:
        name, both = min(shared.items())
        more = f" (and {len(shared) - 1} more buildings)" if len(shared) > 1 else ""
        what = f"the building {name}" if name else "the one building of this tree"
        raise UserError(
            f"{both} share {what}{more}: take views of others, or take them so with --shared-buildings"
        )
