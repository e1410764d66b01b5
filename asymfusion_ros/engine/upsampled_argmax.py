"""The winners of bilinearly upsampled logits on a CPU, without upsampling them.

The decoder's grid points divide the image into cells. Within a cell every pixel's logits are convex
combinations of those at the cell's four corners, from which two things follow, and both are exact:

- where one class wins at all four corners, it wins everywhere in the cell;
- a class that at no corner is better than some other one wins nowhere in the cell.

So most cells take one class. In most of the others two come into question, and the sign of their difference
decides: one bilinear interpolation instead of one a class. Only what then remains has several.

In NumPy, whose comparisons and bytes are several times faster on a CPU than torch's; and no thread waits for
another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

FEW = 4  # a cell with no more classes that can win is computed for its own ones alone
VALUES_AT_ONCE = 1 << 16  # floats, a quarter of a MiB: with what is made of them, a core's own cache

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]


def upsampled_argmax(logits: Floats, size: tuple[int, int]) -> Bytes:
    """K x h x w float32, K at most 255 -> ``size``, uint8: the class of the largest logit after bilinear
    upsampling (pixel centres aligned). ``size`` must be larger than h x w, in both directions. Where two
    classes come out the same but for rounding, either may be given."""
    classes, height, width = logits.shape
    values = logits.reshape(classes, -1)
    rows, columns = _axis(height, size[0]), _axis(width, size[1])
    winners = _argmax(values, np.arange(classes)[:, None])
    corner = winners.reshape(height, width)[rows.points][:, columns.points]
    nw, ne, sw, se = corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:]
    labels = nw.take(columns.cell, 1).take(rows.cell, 0)
    mixed = (nw != ne) | (nw != sw) | (nw != se)
    if mixed.any():
        _fill(labels, values, winners, rows, columns, *mixed.nonzero())
    return labels


@dataclass(frozen=True)
class _Axis:
    """One axis of the grid. Cell i lies between the grid points i - 1 and i; those beyond the border are the
    border's. n: the most pixels that a cell has; one with fewer has its last pixel several times.

    points: (cells + 1,), the grid point at each cell's beginning, and at the last one's end. cell: of each
    pixel. pixels: n x cells, the pixels of each cell. share: n x cells, of the grid point at its end.
    """

    points: Places
    cell: Places
    pixels: Places
    share: Floats


@lru_cache(maxsize=32)
def _axis(inputs: int, outputs: int) -> _Axis:
    centre = (np.arange(outputs) + 0.5) * (inputs / outputs) - 0.5
    cell = np.floor(centre).astype(np.intp) + 1
    cells = np.arange(inputs + 1)
    begin, end = np.searchsorted(cell, cells, "left"), np.searchsorted(cell, cells, "right")
    pixels = np.minimum(begin + np.arange((end - begin).max())[:, None], end - 1)
    share = (centre[pixels] - (cells - 1)).astype(np.float32)
    points = np.arange(-1, inputs + 1).clip(0, inputs - 1)
    return _Axis(points, cell, pixels, share)


def _argmax(values: Floats, classes: Places) -> Bytes:
    """Of J x ... values, whose classes are J x ... (of as many dimensions): the class of the largest, the
    lowest where several are. Faster than NumPy's own."""
    largest = (values == values.max(0)).view(np.uint8)
    largest *= np.uint8(255) - classes.astype(np.uint8)
    found: Bytes = np.uint8(255) - largest.max(0)
    return found


def _fill(
    labels: Bytes, values: Floats, winners: Bytes, rows: _Axis, columns: _Axis, y: Places, x: Places
) -> None:
    """Writes the labels of the cells (y, x), whose corners have different winners."""
    width = len(columns.points) - 2
    top, bottom = rows.points[y] * width, rows.points[y + 1] * width
    left, right = columns.points[x], columns.points[x + 1]
    corners = np.stack([top + left, top + right, bottom + left, bottom + right])
    flat = values.reshape(-1)

    # Two of the corners' winners, and which classes neither of them excludes.
    of_corner = winners[corners]
    one, other = of_corner[0], of_corner[3]
    for winner in (of_corner[2], of_corner[1]):
        other = np.where(winner != one, winner, other)
    of_one, of_other = (flat[kind.astype(np.intp) * values.shape[1] + corners] for kind in (one, other))
    logits = [values.take(corner, 1) for corner in corners]  # K x cells, each
    able = ~(_no_better(logits, of_one) | _no_better(logits, of_other))
    able[one, np.arange(len(y))] = able[other, np.arange(len(y))] = True
    count = able.sum(0)

    two = np.flatnonzero(count == 2)
    cells = _Cells(rows, columns, y[two], x[two])
    difference = cells.interpolated((of_one - of_other)[:, two])
    # In bytes: ``other`` plus, where ``one`` is ahead, what is missing to it.
    cells.write(labels, other[two] + (difference >= 0).view(np.uint8) * (one - other)[two])

    few, many = np.flatnonzero((count > 2) & (count <= FEW)), np.flatnonzero(count > FEW)
    union = np.flatnonzero(able[:, many].any(1))
    for all_of_them, most in ((few, FEW), (many, len(union))):
        for some in _parts(all_of_them, most * rows.pixels.shape[0] * columns.pixels.shape[0]):
            classes = _first(able[:, some], FEW) if all_of_them is few else union[:, None]
            places = classes * values.shape[1] + corners[:, None, some]
            cells = _Cells(rows, columns, y[some], x[some])
            cells.write(labels, _argmax(cells.interpolated(flat[places]), classes[:, None, None]))


def _no_better(logits: list[Floats], than: Floats) -> Flags:
    """K x cells: which classes are at no corner better than one class is, whose logits are ``than``."""
    found = logits[0] <= than[0]
    for corner, limit in zip(logits[1:], than[1:]):
        found &= corner <= limit
    return found


def _parts(cells: Places, floats: int) -> Iterator[Places]:
    """The cells in parts, of which ``floats`` values each fit into a cache."""
    step = max(1, VALUES_AT_ONCE // max(1, floats))
    return (cells[start : start + step] for start in range(0, len(cells), step))


def _first(able: Flags, count: int) -> Places:
    """K x cells, each with 1 to ``count`` true -> count x cells: which; the last several times over."""
    able, cell = able.copy(), np.arange(able.shape[1])
    found = [able.argmax(0)]
    for _ in range(count - 1):
        able[found[-1], cell] = False
        found.append(np.where(able.any(0), able.argmax(0), found[-1]))
    return np.stack(found)


class _Cells:
    """Some of the cells. Arrays have them last, which NumPy goes along fastest."""

    def __init__(self, rows: _Axis, columns: _Axis, y: Places, x: Places) -> None:
        self._down, self._across = rows.share[:, y], columns.share[:, x]
        self._y, self._x = rows.pixels[:, y], columns.pixels[:, x]

    def interpolated(self, corners: Floats) -> Floats:
        """4 x ... x cells, the corners north west, north east, south west, south east -> ... x rows x
        columns x cells."""
        nw, ne, sw, se = corners[..., None, :]
        left, right = nw + (sw - nw) * self._down, ne + (se - ne) * self._down
        right -= left
        found: Floats = right[..., None, :] * self._across
        found += left[..., None, :]
        return found

    def write(self, labels: Bytes, found: Bytes) -> None:
        """Puts rows x columns x cells labels where they belong."""
        flat = labels.reshape(-1)
        flat[(self._y * labels.shape[1])[:, None] + self._x] = found
