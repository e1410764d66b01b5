"""What is known of a frame's cameras, and what the engine makes of it: registered depth, labelled points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.data.transform import Transform
from asymfusion_ros.engine.cloud import labelled_points
from asymfusion_ros.engine.registration import Registration

KEPT = 8  # cameras


@dataclass(frozen=True)
class Unregistered:
    """Depth that another camera than the reference's measured: that camera, of the depth image's size, and
    the transform from its optical frame to that of the reference."""

    camera: CameraModel
    to_reference: Transform


@dataclass(frozen=True)
class Geometry:
    """The cameras of one frame.

    camera: of the reference image, of its size. depth: the modality of the depth, None where the frame has
    none. unregistered: set where depth has to be projected into ``camera``. points: whether they are wanted.
    """

    camera: CameraModel
    depth: str | None
    unregistered: Unregistered | None = None
    points: bool = False


class Projector:
    """Applies geometries on one device, and keeps what follows from the cameras alone for later frames."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._rays = lru_cache(KEPT)(self._make_rays)
        self._registration = lru_cache(KEPT)(self._make_registration)

    def registered(self, geometry: Geometry, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Decoded images (1 x C x H x W each), depth projected into the reference camera where it has to be;
        without the depth where none of it falls into the reference image."""
        if geometry.depth is None or geometry.unregistered is None:
            return dict(images)
        register = self._registration(geometry.camera, geometry.unregistered)
        depth = register(images[geometry.depth][0, 0])
        if depth is None:
            return {name: image for name, image in images.items() if name != geometry.depth}
        return {**images, geometry.depth: depth[None, None]}

    def points(
        self, geometry: Geometry, images: Mapping[str, Tensor], labels: Tensor, confidence: Tensor
    ) -> Tensor:
        """H x W x 24 uint8 (engine/cloud.py): the points of the reference image's pixels, from decoded images
        with registered depth, and H x W uint8 labels and confidence."""
        size = labels.shape
        if geometry.depth is None or geometry.depth not in images:
            depth = torch.zeros(size, device=self._device)
        else:
            depth = images[geometry.depth]
            if depth.shape[-2:] != size:  # as Range.normalise resizes it for the network
                depth = F.interpolate(depth, tuple(size), mode="nearest-exact")
            depth = depth[0, 0]
        rgb = images["rgb"][0] if "rgb" in images else None
        return labelled_points(self._rays(geometry.camera), depth, rgb, labels, confidence)

    def _make_rays(self, camera: CameraModel) -> Tensor:
        x, y = camera.grid()
        return torch.stack([x, y, torch.where(x.isnan(), x, 1.0)]).to(self._device, torch.float32)

    def _make_registration(self, camera: CameraModel, other: Unregistered) -> Registration:
        return Registration(other.camera, camera, other.to_reference, self._device)
