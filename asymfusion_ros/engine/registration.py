"""Depth of one camera as another camera would see it, on the device."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.data.transform import Transform

LARGEST = 12  # pixels, of the side of what one pixel of depth covers
SIZES = LARGEST + 1


class Registration:
    """Projects depth images of ``depth_camera`` into ``colour_camera``.

    As depth_image_proc's register node does with ``fill_upsampling_holes``: a pixel of depth is a square that
    faces its camera. Its upper left and its lower right corner are projected, and it covers all pixels from
    the one to the other, both included, with the mean of their distances; the nearest surface wins. So a
    colour image of more pixels gets no holes. A square is clipped at the image's edge, covers at most LARGEST
    pixels each way, and may come out turned.

    depth_to_colour: from the coordinates of the depth camera's optical frame to the colour camera's.
    """

    def __init__(
        self,
        depth_camera: CameraModel,
        colour_camera: CameraModel,
        depth_to_colour: Transform,
        device: torch.device,
    ) -> None:
        self._colour = colour_camera
        self._shift = depth_to_colour.translation
        x, y = depth_camera.grid(shift=-0.5, more=1)
        # Rays through the pixels' corners, turned once: a frame only scales them by its distances.
        turned = [row[0] * x + row[1] * y + row[2] for row in depth_to_colour.rotation]
        self._corners = torch.stack(turned).to(device, torch.float32)

    def __call__(self, depth: Tensor) -> Tensor | None:
        """H x W float32 metres of the depth camera, 0, negative, NaN or Inf where nothing was measured ->
        h x w float32 metres of the colour camera, 0 where nothing was; None where nothing at all falls into
        its image."""
        height, width = self._colour.height, self._colour.width
        size, place, distance = self._squares(depth)
        # Squares of one size at a time: each is noted at its corner, and then all are spread at once.
        nearest = depth.new_full((height, width), math.inf)
        sizes = torch.bincount(size, minlength=1)[1:].nonzero()[:, 0].add(1).tolist()
        if not sizes:
            return None
        for one in sizes:
            corners = depth.new_full(((height + LARGEST) * (width + LARGEST),), math.inf)
            corners.scatter_reduce_(0, place, torch.where(size == one, distance, math.inf), "amin")
            grid = corners.view(height + LARGEST, width + LARGEST)
            torch.minimum(nearest, _spread(grid, one // SIZES, one % SIZES), out=nearest)
        return torch.where(nearest < math.inf, nearest, 0.0)

    def _squares(self, depth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What each pixel of depth covers, flat: the number of rows x SIZES + that of columns (0: nothing),
        the place of the first pixel in an image with LARGEST rows and columns before it, and the distance."""
        height, width = self._colour.height, self._colour.width
        z = torch.where((depth > 0) & (depth < math.inf), depth, math.nan)
        first, first_z = self._projected(self._corners[:, :-1, :-1], z)
        last, last_z = self._projected(self._corners[:, 1:, 1:], z)
        left, columns = _covered(first[0], last[0])
        top, rows = _covered(first[1], last[1])
        # Comparisons with NaN are false: what was not measured, or can't be seen, is left out.
        seen = (left + columns > 0) & (left < width) & (top + rows > 0) & (top < height)
        size = torch.where(seen, rows * SIZES + columns, 0).int()
        top, left = (torch.where(seen, x, 0).int() for x in (top, left))
        place = (top + LARGEST) * (width + LARGEST) + left + LARGEST
        return size.flatten(), place.flatten().long(), ((first_z + last_z) * 0.5).flatten()

    def _projected(self, rays: Tensor, z: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The pixel coordinates of points at distance ``z`` along ``rays``, and their distance here."""
        x, y, distance = (ray * z + shift for ray, shift in zip(rays, self._shift, strict=True))
        return self._colour.project(x, y, distance), distance


def _covered(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """The first pixel of those between two coordinates, and how many they are."""
    start, end = ((x + 0.5).floor() for x in (torch.minimum(one, other), torch.maximum(one, other)))
    return start, (end - start + 1).clamp(max=LARGEST)


def _spread(corners: Tensor, rows: int, columns: int) -> Tensor:
    """Each value over the ``rows`` x ``columns`` pixels from its own on, the least where they overlap;
    without the LARGEST rows and columns before the image."""
    found = corners[:, LARGEST:]
    for i in range(1, columns):
        found = torch.minimum(found, corners[:, LARGEST - i : -i])
    spread = found[LARGEST:]
    for i in range(1, rows):
        spread = torch.minimum(spread, found[LARGEST - i : -i])
    return spread
