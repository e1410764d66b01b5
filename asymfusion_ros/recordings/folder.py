"""A recording made of a data set in the folder format: its frames one after another at a steady pace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.recordings.recording import NANOSECONDS, RecordingError, Sample

FRAME_ID = "camera_color_optical_frame"


def millimetres(metres: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """H x W depth as 16UC1 has it: 0 where unknown (0, NaN or infinite), and beyond 65.535 m."""
    depth = np.rint(metres.astype(np.float64) * 1000)
    known = np.isfinite(depth) & (depth <= np.iinfo(np.uint16).max)
    return np.where(known, depth, 0).astype(np.uint16)


class FolderRecording:
    """A split of a folder at ``rate`` frames a second, up to ``seconds`` of it.

    ``split`` None: val where there is one, else the first by name. The folder format knows no calibration,
    so no CameraInfo is played.
    """

    def __init__(
        self, root: Path, rate: float, split: str | None = None, seconds: float | None = None
    ) -> None:
        self.rate = rate
        self._folder = Folder(root)
        splits = sorted(path.stem for path in root.glob("*.txt"))
        if split is None and not splits:
            raise RecordingError(
                f"{root} has no split: list the frames to play, an ID a line, in {root}/val.txt"
            )
        self.split = split or ("val" if "val" in splits else splits[0])
        names = self._folder.names(self.split)
        self._names = names if seconds is None else names[: max(1, round(seconds * rate))]

    @property
    def title(self) -> str:
        return f"{self._folder.root}: split {self.split}, {len(self._names)} frames at {self.rate:g} Hz"

    @property
    def seconds(self) -> float:
        return len(self._names) / self.rate

    @property
    def rgb_frames(self) -> int:
        return len(self._names)

    @property
    def depth_frames(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Sample]:
        for index, name in enumerate(self._names):
            frame = self._folder.read(name, ("rgb", "depth"), label=False)
            time = round(index * NANOSECONDS / self.rate)
            yield Sample.from_array("rgb", time, frame.images["rgb"], FRAME_ID)
            yield Sample.from_array("depth", time, millimetres(frame.images["depth"]), FRAME_ID)
