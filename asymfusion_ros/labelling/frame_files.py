"""The frames of a folder, as the files of labelling tools name them."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.errors import UserError

UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file


class FrameFiles:
    """folder: in the folder format. names: the frames of all its splits, in order. Raises UserError."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        splits = sorted(path.stem for path in folder.root.glob("*.txt"))
        if not splits:
            raise UserError(f"{folder.root} has no split (train.txt, val.txt): is it of `asymfusion label`?")
        listed = [name for split in splits for name in folder.names(split)]
        self.names = sorted(set(listed))
        self._known = set(self.names)
        self._reference = "rgb" if "rgb" in folder.images else next(iter(folder.images))

    def find(self, path: str) -> str | None:
        """The frame that a path or URL without its ending ends in the name of, or None."""
        parts = [part for part in PurePosixPath(path.replace("\\", "/")).parts if part != "/"]
        for start in range(len(parts)):
            name = "/".join(parts[start:])
            if name in self._known:
                return name
        last = UPLOADED.sub("", parts[-1]) if parts else ""
        return last if last in self._known else None

    def size(self, name: str) -> tuple[int, int]:
        """Height, width. Raises UserError for an image that is missing or damaged."""
        height, width = self.folder.images[self._reference].read(name).shape[:2]
        return int(height), int(width)

    def check_size(self, name: str, size: tuple[int, int], what: str) -> None:
        """Raises UserError where ``what`` is of another size (height, width) than its frame."""
        own = self.size(name)
        if size != own:
            raise UserError(
                f"{what} is {size[1]}x{size[0]}, but its frame {name} is {own[1]}x{own[0]}: export the "
                "annotations at the size of the images"
            )

    def path(self, name: str) -> Path:
        """Of its label."""
        return self.folder.label_path(name)
