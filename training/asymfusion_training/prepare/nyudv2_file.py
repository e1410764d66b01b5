"""nyu_depth_v2_labeled.mat, read frame by frame: it is larger than many machines' memory."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.labels import VOID
from asymfusion_ros.errors import UserError
from asymfusion_training.prepare.images import SourceError

# name -> (the shape NYU publishes it in, the kind of number). HDF5 shows MATLAB's axes in reverse: a frame of
# H x W x 3 is 3 x W x H.
DATASETS = {
    "images": ("Nx3xWxH", "u"),
    "depths": ("NxWxH", "f"),
    "rawDepths": ("NxWxH", "f"),
    "labels": ("NxWxH", "u"),
}
RAW_DEPTH_LIMIT = 10.0  # metres: rawDepths holds this where the camera measured nothing, as it does 0
CHUNK_CACHE = 64 * 2**20  # bytes: a compressed chunk may hold parts of several frames


class NyuFile:
    """The file, opened and checked. Raises UserError where it is not what NYU publishes.

    frames, height, width: as the file has them. scenes: the scene of each frame.
    """

    def __init__(self, path: Path, nyu40: dict[str, int], raw_depth: bool = False) -> None:
        """nyu40: the class, 1 to 40, of each raw class name. raw_depth: read rawDepths, not depths."""
        self.path = path
        self._depths = "rawDepths" if raw_depth else "depths"
        self._file = _opened(path)
        try:
            self.frames, _, self.width, self.height = self._shape("images")
            for name in (self._depths, "labels"):
                self._shape(name)
            self.scenes = self._texts("scenes")
            if len(self.scenes) != self.frames:
                raise UserError(f"{path}: scenes names {len(self.scenes)} scenes for {self.frames} frames")
            self._classes = self._class_table(self._texts("names"), nyu40)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> NyuFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def rgb(self, number: int) -> npt.NDArray[np.uint8]:
        """H x W x 3 uint8 RGB of a frame; frames are numbered from 1."""
        return self._frame("images", number).transpose(2, 1, 0)

    def depth(self, number: int) -> npt.NDArray[np.uint16]:
        """H x W uint16 millimetres, 0 where there is none."""
        metres = self._frame(self._depths, number).T
        known = np.isfinite(metres) & (metres > 0) & (metres < 65.535)
        if self._depths == "rawDepths":
            known &= metres < RAW_DEPTH_LIMIT
        return np.rint(np.where(known, metres, 0) * 1000).astype(np.uint16)

    def label(self, number: int) -> npt.NDArray[np.uint8]:
        """H x W uint8: NYU40's classes as 0 to 39, 255 where there is no label."""
        raw = self._frame("labels", number).T
        if raw.max() >= len(self._classes):
            raise SourceError(
                f"{self.path}: frame {number} has label {raw.max()}, but names has "
                f"{len(self._classes) - 1} classes"
            )
        return self._classes[raw]

    def _frame(self, name: str, number: int) -> npt.NDArray[Any]:
        try:
            return self._file[name][number - 1]
        except OSError as error:
            raise SourceError(
                f"{self.path}: {name} of frame {number} cannot be read ({error}): download the file again"
            ) from error

    def _dataset(self, name: str) -> h5py.Dataset:
        found = self._file.get(name)
        if not isinstance(found, h5py.Dataset):
            raise UserError(
                f"{self.path} has no {name}: it is not the nyu_depth_v2_labeled.mat that NYU publishes"
            )
        return found

    def _shape(self, name: str) -> tuple[int, ...]:
        """Of a dataset: N x 3 x W x H or N x W x H. Raises UserError where it does not fit the images."""
        found = self._dataset(name)
        layout, kind = DATASETS[name]
        shape = found.shape
        fits = len(shape) == len(layout.split("x")) and min(shape) > 0 and found.dtype.kind == kind
        if name == "images":
            fits = fits and shape[1] == 3 and found.dtype.itemsize == 1
        else:
            fits = fits and shape == (self.frames, self.width, self.height)
        if not fits:
            images = "" if name == "images" else f" (images: {_by(self._file['images'].shape)})"
            raise UserError(
                f"{self.path}: {name} is {_by(shape)} of {found.dtype}{images}, but NYU's file has it as "
                f"{layout}: use the file as it was published"
            )
        return shape

    def _texts(self, name: str) -> list[str]:
        """A MATLAB cell array of strings: references to arrays of UTF-16 codes."""
        cells = self._dataset(name)
        if cells.dtype != h5py.ref_dtype:
            raise UserError(f"{self.path}: {name} is of {cells.dtype}, not a cell array of strings")
        return [
            self._file[reference][()].astype("<u2").tobytes().decode("utf-16-le")
            for reference in cells[()].ravel()
        ]

    def _class_table(self, names: list[str], nyu40: dict[str, int]) -> npt.NDArray[np.uint8]:
        """What label i of the file becomes. By name, since a file edited by hand has its own order."""
        unknown = [name for name in names if name not in nyu40]
        if unknown:
            raise UserError(
                f"{self.path}: class {unknown[0]!r} is not one of NYU's {len(nyu40)} "
                f"({len(unknown)} such names): use the file as it was published"
            )
        return np.array([VOID, *(nyu40[name] - 1 for name in names)], np.uint8)


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(str(side) for side in shape)


def _opened(path: Path) -> h5py.File:
    if not path.is_file():
        raise UserError(f"{path} is missing: --mat is the nyu_depth_v2_labeled.mat that NYU publishes")
    try:
        return h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE)
    except OSError as error:
        size = f"{path.stat().st_size:,} bytes"
        if "truncated file" in str(error):
            raise UserError(f"{path} is cut short, at {size}: download it again") from error
        raise UserError(
            f"{path} ({size}) is no HDF5 file, as nyu_depth_v2_labeled.mat is: {error}"
        ) from error
