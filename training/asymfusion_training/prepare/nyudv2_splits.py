"""Which frames of NYU Depth v2 are train, val and test."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from asymfusion_ros.data.yaml_file import read_yaml
from asymfusion_ros.errors import UserError

FACTS = Path(__file__).with_name("nyudv2.yaml")


@dataclass(frozen=True)
class Splits:
    """Frame numbers, from 1. train and val together are the half to train on."""

    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]

    @property
    def trainval(self) -> tuple[int, ...]:
        """The half to train on, in order."""
        return tuple(sorted(self.train + self.val))


@lru_cache(maxsize=1)
def facts() -> dict[str, Any]:
    """nyudv2.yaml: train and test as lists of frame numbers, classes as a dict of raw name to 1..40."""
    values = read_yaml(FACTS)
    for half in ("train", "test"):
        ranges = [[int(end) for end in part.split("-")] for part in values[half].split()]
        values[half] = [number for ends in ranges for number in range(ends[0], ends[-1] + 1)]
    return values


def read_halves(path: Path, frames: int) -> tuple[list[int], list[int]]:
    """(train, test) of NYU's splits.mat. Raises UserError where it is not that, or does not fit."""
    if not path.is_file():
        raise UserError(f"{path} is missing: --splits is NYU's splits.mat")
    try:
        values = loadmat(path, appendmat=False)
        halves = [np.asarray(values[key]).ravel() for key in ("trainNdxs", "testNdxs")]
        numbers = [sorted(int(number) for number in half) for half in halves]
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, MatReadError, zlib.error) as error:
        raise UserError(
            f"{path} is not NYU's splits.mat, a MATLAB v5 file of trainNdxs and testNdxs "
            f"({type(error).__name__}: {' '.join(str(error).split())})"
        ) from error
    both = numbers[0] + numbers[1]
    wrong = next((number for number in both if not 1 <= number <= frames), None)
    if wrong is not None:
        raise UserError(
            f"{path} lists frame {wrong}, but the .mat has frames 1 to {frames}: do they belong together?"
        )
    twice = [number for number, count in Counter(both).items() if count > 1]
    if twice:
        raise UserError(f"{path} lists frame {twice[0]} twice: a frame is for training or for the test")
    if not all(numbers):
        raise UserError(f"{path} leaves {'trainNdxs' if not numbers[0] else 'testNdxs'} empty")
    return numbers[0], numbers[1]


def room(scene: str) -> str:
    """The place that a scene shows: NYU numbers several recordings of one place 0001a, 0001b, ..."""
    return re.sub(r"(?<=\d)[a-z]+$", "", scene)


def runs(numbers: Sequence[int]) -> list[list[int]]:
    """Sorted numbers as runs of consecutive ones."""
    found = groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])
    return [[number for _, number in run] for _, run in found]


def cut(trainval: Sequence[int], test: Sequence[int], scenes: Sequence[str]) -> Splits:
    """Cuts val off the training half, about a seventh of it, without sharing a scene with train.

    trainval, test: sorted frame numbers. scenes: the scene of every frame of the file. The standard training
    half is 123 runs of consecutive numbers, each of whole scenes: every eighth run from the fourth on is val
    (109 frames; 686 remain). Another training half is cut by rooms, in the order of their first frames, in
    the same manner. Nothing is drawn at random: everyone gets the same cut.
    """
    if (list(trainval), list(test)) == (facts()["train"], facts()["test"]):
        groups = runs(trainval)
    else:
        by_room: dict[str, list[int]] = {}
        for number in trainval:
            by_room.setdefault(room(scenes[number - 1]), []).append(number)
        groups = list(by_room.values())
    if len(groups) < 2:
        raise UserError(
            f"all {len(trainval)} training frames show {room(scenes[trainval[0] - 1])}: no val can be cut off"
        )
    val = sorted(number for group in groups[3::8] or groups[-1:] for number in group)
    train = sorted(set(trainval) - set(val))
    return Splits(tuple(train), tuple(val), tuple(test))


def shared_rooms(one: Sequence[int], other: Sequence[int], scenes: Sequence[str]) -> list[str]:
    """The rooms that frames of both show."""
    return sorted({room(scenes[n - 1]) for n in one} & {room(scenes[n - 1]) for n in other})
