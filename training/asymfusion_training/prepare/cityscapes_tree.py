"""The files of a Cityscapes tree, by frame."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from asymfusion_ros.errors import UserError

SPLITS = {"train": 2975, "val": 500, "test": 1525}  # split -> frames in the official download
KINDS = {
    "leftImg8bit": "_leftImg8bit.png",
    "gtFine": "_gtFine_labelIds.png",
    "disparity": "_disparity.png",
    "camera": "_camera.json",
}
PACKAGE = "{}_trainvaltest.zip"  # the download that holds a kind


@dataclass(frozen=True)
class CityFrame:
    """name: CITY_SEQUENCE_FRAME. labelled: False for a frame of test without its label file."""

    root: Path
    split: str
    name: str
    labelled: bool = True

    def path(self, kind: str) -> Path:
        """Of the frame's file of a kind, a key of KINDS."""
        city = self.name.split("_")[0]
        return self.root / kind / self.split / city / (self.name + KINDS[kind])


def find_frames(root: Path, camera: bool = True, partial: bool = False) -> dict[str, list[CityFrame]]:
    """The frames of each split, in the order of their names; a split that is not there is left out.

    camera: whether the camera files are needed. partial: take a tree of fewer frames than the official one.
    Raises UserError with the first file that is missing and the number of all that are, or with the split
    whose frames are not as many as the official one's.
    """
    kinds = [kind for kind in KINDS if camera or kind != "camera"]
    for kind in kinds:
        if not (root / kind).is_dir():
            raise UserError(f"{root / kind} is missing: unpack {PACKAGE.format(kind)} into {root}")
    found = {split: {kind: _names(root, kind, split) for kind in kinds} for split in SPLITS}
    frames: dict[str, list[CityFrame]] = {}
    missing = []
    for split, names in found.items():
        # test is published without labels: its dummies may be left out, but for all of its frames
        unlabelled = split == "test" and not names["gtFine"]
        # a frame that any kind has is a frame: so a missing image is missed too
        for name in sorted(set().union(*names.values())):
            frame = CityFrame(root, split, name, not unlabelled)
            missing += [
                frame.path(kind)
                for kind in kinds
                if name not in names[kind] and (frame.labelled or kind != "gtFine")
            ]
            frames.setdefault(split, []).append(frame)
    if missing:
        others = f" (and {len(missing) - 1} more files)" if len(missing) > 1 else ""
        package = PACKAGE.format(missing[0].relative_to(root).parts[0])
        raise UserError(f"{missing[0]} is missing{others}: unpack {package} again")
    if not frames:
        raise UserError(
            f"{root} has no frames: there is no {root / 'leftImg8bit/train/CITY/*_leftImg8bit.png'}"
        )
    for split, count in SPLITS.items():
        there = len(frames.get(split, ()))
        if there != count and not partial:
            raise UserError(
                f"{root} has {there} frames of {split}, not the official {count}: unpack the downloads "
                "again, or take what is there with --partial"
            )
    return frames


def _names(root: Path, kind: str, split: str) -> set[str]:
    """Of the frames that have a file of a kind, by listing: to ask for each takes minutes on NFS."""
    folder, ending = root / kind / split, KINDS[kind]
    if not folder.is_dir():
        return set()
    return {
        file.removesuffix(ending)
        for city in sorted(os.scandir(folder), key=lambda entry: entry.name)
        if city.is_dir()
        for file in os.listdir(city.path)
        if file.endswith(ending) and file.startswith(city.name + "_")
    }
