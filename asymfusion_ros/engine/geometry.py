"""What is known of a frame's cameras, and what the engine makes of it: registered depth, labelled points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.data.transform import Transform
from asymfusion_ros.engine.cloud import labelled_points
from asymfusion_ros.engine.registration import Registration


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
    """Applies geometries on one device, and keeps what follows from the cameras alone for the next frame."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._rays: tuple[CameraModel, Tensor] | None = None
        self._registration: tuple[tuple[CameraModel, Unregistered], Registration] | None = None

    def registered(self, geometry: Geometry, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Decoded images (1 x C x H x W each), depth projected into the reference camera where it has to be;
        without the depth where none of it falls into the reference image."""
        if geometry.depth is None or geometry.unregistered is None:
            return dict(images)
        key = (geometry.camera, geometry.unregistered)
        if self._registration is None or self._registration[0] != key:
            other = geometry.unregistered
            made = Registration(other.camera, geometry.camera, other.to_reference, self._device)
            self._registration = key, made
        depth = self._registration[1](images[geometry.depth][0, 0])
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
        return labelled_points(self._rays_of(geometry.camera), depth, rgb, labels, confidence)

    def _rays_of(self, camera: CameraModel) -> Tensor:
        if self._rays is None or self._rays[0] != camera:
            x, y = camera.grid()
            rays = torch.stack([x, y, torch.where(x.isnan(), x, 1.0)]).to(self._device, torch.float32)
            self._rays = camera, rays
        return self._rays[1]
