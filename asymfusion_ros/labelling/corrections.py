"""The way back: corrected annotations of a labelling tool into a folder's labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.colouring import png
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.image_file import read_image
from asymfusion_ros.data.labels import VOID
from asymfusion_ros.errors import UserError
from asymfusion_ros.labelling.cvat import read_cvat
from asymfusion_ros.labelling.frame_files import FrameFiles
from asymfusion_ros.labelling.label_studio import read_label_studio

SHOWN = 5  # names in a line


@dataclass(frozen=True)
class Corrected:
    """frames: whose label was written; changed: those of them whose label is another now. waiting: the
    folder's other frames. left_out: what was annotated but is not in the folder."""

    frames: Sequence[str]
    changed: Sequence[str]
    waiting: Sequence[str]
    left_out: Sequence[str]


def take_corrections(file: Path, root: Path) -> Corrected:
    """Writes the labels in a zip of CVAT or a JSON of Label Studio into ``root``, once all of them have been
    read and found right. Raises UserError."""
    frames = FrameFiles(Folder(root))
    read = {".zip": read_cvat, ".json": read_label_studio}.get(file.suffix.lower())
    if read is None:
        raise UserError(f"{file} is neither a .zip (CVAT, Segmentation mask 1.1) nor a .json (Label Studio)")
    left_out: list[str] = []
    made: dict[str, bytes] = {}
    changed = []
    for name, label in read(file, frames, left_out):
        stored = np.where(label == VOID, np.uint8(frames.folder.void), label)
        made[name] = png(stored)
        if not _is(frames.path(name), stored):
            changed.append(name)
    if not made:
        what = f"none of its {len(left_out)} images is" if left_out else "it has no annotated image that is"
        raise UserError(f"{file}: {what} a frame of {root}: is it the right folder?")
    for name, data in made.items():
        path = frames.path(name)
        make_folder(path.parent)
        write_whole(path, data)
    waiting = [name for name in frames.names if name not in made]
    return Corrected(list(made), changed, waiting, left_out)


def _is(path: Path, label: npt.NDArray[np.uint8]) -> bool:
    """Whether the file holds this label; one that is not there or damaged does not, and is mended."""
    try:
        return np.array_equal(read_image(path), label)
    except UserError:
        return False


def summary(file: Path, root: Path, found: Corrected) -> str:
    """A few lines for people."""
    lines = [
        f"{root}: {_count(found.frames, 'label')} of {file.name} taken over, {len(found.changed)} of them "
        "changed"
    ]
    if found.waiting:
        lines.append(
            f"  {_count(found.waiting, 'frame')} not in it, with the labels of before: {_some(found.waiting)}"
        )
    if found.left_out:
        lines.append(f"  left out, not in the folder: {_some(found.left_out)}")
    return "\n".join(lines)


def _count(items: Sequence[str], word: str) -> str:
    return f"{len(items)} {word}{'' if len(items) == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
