"""A recording made of a data set in the folder format: its frames one after another at a steady pace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.recordings.recording import NANOSECONDS, RecordedImage, RecordingError

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
        self,
        root: Path,
        rate: float,
        split: str | None = None,
        seconds: float | None = None,
        modalities: Sequence[str] = ("rgb", "depth"),
    ) -> None:
        self.rate = rate
        self._folder = Folder(root)
        self._folder.check_modalities(modalities)
        self._modalities = tuple(modalities)
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
        """One line for the user."""
        return f"{self._folder.root}: split {self.split}, {len(self._names)} frames at {self.rate:g} Hz"

    @property
    def seconds(self) -> float:
        """How long playing takes."""
        return len(self._names) / self.rate

    @property
    def images(self) -> dict[str, int]:
        """How many of each modality."""
        return dict.fromkeys(self._modalities, len(self._names))

    def __iter__(self) -> Iterator[RecordedImage]:
        for index, name in enumerate(self._names):
            frame = self._folder.read(name, self._modalities, label=False)
            time = round(index * NANOSECONDS / self.rate)
            for modality, image in frame.images.items():
                kind = self._folder.images[modality].modality.kind
                stored = millimetres(image) if kind == "range" else image
                yield RecordedImage.from_array(modality, time, stored, FRAME_ID)
