"""Taskonomy's images as the folder format has them: which can stay as they are, and which are made anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.colouring import png
from asymfusion_ros.data.image_file import decode_image
from asymfusion_training.prepare.images import SourceError
from asymfusion_training.prepare.taskonomy_tree import Tree

METRES = 1 / 512  # of a step of depth
INVALID = 65535  # depth: the scan has no surface there
EDGE_UNIT = 255 / 65535  # of a step of edges: 16 bits over the 0 to 255 of other images
UNITS = {"depth": METRES, "edge": EDGE_UNIT, "texture": EDGE_UNIT}  # of the others: 1


@dataclass(frozen=True)
class ViewImage:
    """An image of a view. data: the PNG to store. original: whether it is the file as it was."""

    path: Path
    data: bytes
    original: bool


def view_images(tree: Tree, view: str) -> dict[str, ViewImage]:
    """The images of a view, by modality; each is decoded, so that one that is damaged is found here.

    Raises SourceError for a file that does not decode or is of another form, for images of different sizes,
    and for depth of which nothing was measured.
    """
    images, first = {}, None
    for modality in tree.domains:
        path = tree.path(modality, view)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise SourceError(f"{path} cannot be read: {error.strerror}") from error
        stored = decode_image(data, str(path), refusal=SourceError)
        first = first or (path, stored.shape[:2])
        if stored.shape[:2] != first[1]:
            (height, width), (first_height, first_width) = stored.shape[:2], first[1]
            raise SourceError(f"{path} is {width}x{height}, but {first[0]} is {first_width}x{first_height}")
        made = _made(modality, path, stored)
        images[modality] = ViewImage(path, data if made is None else png(made), made is None)
    return images


def _made(modality: str, path: Path, stored: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """The image to store, None for the file as it is."""
    if modality in UNITS:  # one channel of 16 bits
        if stored.ndim != 2 or stored.dtype != np.uint16:
            raise SourceError(f"{path} is {_form(stored)}; {modality} has one channel of 16 bits")
        return _depth(path, stored) if modality == "depth" else None
    if stored.dtype != np.uint8:
        raise SourceError(f"{path} is {_form(stored)}; {modality} has 8 bits")
    if modality == "shade":  # grey, in one channel or in each of three
        return None if stored.ndim == 2 else np.rint(stored[..., :3].mean(-1)).astype(np.uint8)
    if stored.ndim != 3:
        raise SourceError(f"{path} is {_form(stored)}; {modality} has red, green and blue")
    return None


def _depth(path: Path, stored: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """With 0, as the folder format has it, where nothing was measured."""
    unknown = stored == INVALID
    if (unknown | (stored == 0)).all():
        raise SourceError(f"{path} has no depth: each of its pixels is {INVALID} or 0, not measured")
    return np.where(unknown, np.uint16(0), stored) if unknown.any() else None


def _form(stored: npt.NDArray[Any]) -> str:
    channels = 1 if stored.ndim == 2 else stored.shape[2]
    return f"{channels} channel{'s' * (channels > 1)} of {8 * stored.dtype.itemsize} bits"
