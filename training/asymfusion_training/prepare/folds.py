"""Splits for k-fold cross-validation: choices that one small val cannot settle are made over all frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.prepare.nyudv2_splits import facts, runs

SPLITS = ("train", "val")  # whose frames are divided
LIST = re.compile(r"fold(\d{1,9})_(?:train|val)\.txt")


def make_folds(root: Path, folds: int, seed: int) -> str:
    """Writes fold0_train.txt, fold0_val.txt, ... into the folder and returns a summary.

    Each frame of train and val is in the val of one fold, and in the train of the others. Lists of folds
    beyond these, which an earlier call with more folds left, are removed: they are of another division.
    Raises UserError where there are too few frames, or a list cannot be written or removed.
    """
    if folds < 2:
        raise ConfigError(f"--folds is {folds}; it must be 2 or more")
    folder = Folder(root)
    names = list(dict.fromkeys(name for split in SPLITS for name in folder.names(split)))
    scenes = nyudv2_scenes(folder.name, names)
    parts = divide(scenes, folds, seed) if scenes else blocks(sorted(names), folds)
    if not all(parts):
        found = f"{len(names)} frames" + (f" of {len(scenes)} scenes" if scenes else "")
        raise UserError(f"{root}: {' and '.join(SPLITS)} have {found}, too few for {folds} folds")
    for number, part in enumerate(parts):
        val = set(part)
        for split in SPLITS:
            listed = [name for name in sorted(names) if (name in val) == (split == "val")]
            text = "".join(f"{name}\n" for name in listed)
            write_whole(root / f"fold{number}_{split}.txt", text.encode())
    removed = _remove_beyond(root, folds)
    kept = (
        f"whole scenes, seed {seed}" if scenes else "blocks of names in order, for the scenes are not known"
    )
    sizes = ", ".join(str(len(part)) for part in parts)
    return (
        f"{root}: {len(names)} frames in {folds} folds of {sizes} ({kept})\n"
        + (f"  removed {', '.join(removed)} of a division into more folds\n" if removed else "")
        + "  train on one: --set train_split=fold0_train --set val_split=fold0_val"
    )


def _remove_beyond(root: Path, folds: int) -> list[str]:
    """The lists of folds from number ``folds`` on, which it removes."""
    removed = []
    for path in sorted(root.glob("fold*_*.txt")):
        match = LIST.fullmatch(path.name)
        if match and int(match[1]) >= folds:
            try:
                path.unlink()
            except OSError as error:
                raise UserError(
                    f"cannot remove {path}, of a division into more folds: {error.strerror}"
                ) from error
            removed.append(path.name)
    return removed


def nyudv2_scenes(data: str, names: Sequence[str]) -> list[list[str]]:
    """NYUDv2's frames by scene: runs of consecutive numbers of its standard training half are whole scenes.
    Empty where the frames are others."""
    numbers = {int(name): name for name in names if name.isdecimal()}
    if data != "nyudv2" or len(numbers) < len(names) or not numbers.keys() <= set(facts()["train"]):
        return []
    found = ([numbers[number] for number in run if number in numbers] for run in runs(facts()["train"]))
    return [scene for scene in found if scene]


def divide(scenes: Sequence[Sequence[str]], folds: int, seed: int) -> list[list[str]]:
    """The scenes in an order drawn by ``seed``, each to the part that has the fewest frames by then."""
    parts: list[list[str]] = [[] for _ in range(folds)]
    for index in np.random.default_rng(seed).permutation(len(scenes)):
        min(parts, key=len).extend(scenes[index])
    return parts


def blocks(names: Sequence[str], folds: int) -> list[list[str]]:
    """Neighbours in time mostly show one place: they stay together, but where a block ends."""
    ends = [len(names) * number // folds for number in range(folds + 1)]
    return [list(names[start:end]) for start, end in pairwise(ends)]
