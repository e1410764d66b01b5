"""A camera's geometry: which ray a pixel sees, and which pixel a point falls on.

Made from the fields of a sensor_msgs/CameraInfo, without ROS. The axes are those of a camera's optical frame
(REP 103): x to the right, y down, z forward; pixel (0, 0) has its centre at u = v = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from asymfusion_ros.data.camera_info import CameraInfo
from asymfusion_ros.data.distortion import MOST_COEFFICIENTS, Distortion, lens
from asymfusion_ros.errors import ImageError

# Focal lengths in image sizes: beyond these no camera is, and single precision ends.
SHORTEST, LONGEST = 0.01, 1000.0
BAND_VALUES = 1 << 13
FARTHEST_CENTRE = 100.0  # image sizes that the principal point may lie away: a region of a larger image


@dataclass(frozen=True)
class CameraModel:
    """A pinhole camera with distortion.

    width, height: of its images. fx, fy: focal lengths, and cx, cy: the principal point, in pixels.
    distortion: none, plumb_bob, rational_polynomial or equidistant, with its coefficients in CameraInfo's
    order (data/distortion.py). Raises ImageError for values that no camera has.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: str = "none"
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ImageError(f"camera_info is for images of {self.width}x{self.height}: calibrate the camera")
        sizes = {"fx": self.width, "fy": self.height, "cx": self.width, "cy": self.height}
        for name, size in sizes.items():
            value = getattr(self, name)
            if name in ("fx", "fy"):
                plausible = SHORTEST * size <= value <= LONGEST * size
            else:
                plausible = abs(value) <= FARTHEST_CENTRE * size
            if not plausible:  # NaN never is
                raise ImageError(
                    f"camera_info: {name} is {value:g} for images of {self.width}x{self.height}: calibrate "
                    "the camera, or let its driver load the calibration"
                )
        kind = lens(self.distortion, self.coefficients)
        object.__setattr__(self, "distortion", kind.name)
        object.__setattr__(self, "coefficients", kind.coefficients)
        object.__setattr__(self, "_distortion", kind)  # not compared: it follows from the two

    @classmethod
    def from_camera_info(cls, info: CameraInfo, rectified: bool) -> CameraModel:
        """The model of images as P describes them where they are ``rectified``, else as K and D do.

        Binning and region of interest are taken into account. A rectified camera without P has K, if it has
        no distortion. P's Tx and Ty are left out: points are in the camera's own optical frame. Raises
        ImageError.
        """
        k, p = _numbers(info.k, 9, "K"), _numbers(info.p, 12, "P")
        model, coefficients = "none", _coefficients(())
        if rectified and any(p):
            fx, cx, fy, cy = p[0], p[2], p[5], p[6]
        else:
            fx, cx, fy, cy = k[0], k[2], k[4], k[5]
            model, coefficients = info.distortion_model, _coefficients(info.d)
            if rectified and lens(model, coefficients).name != "none":
                raise ImageError(
                    "camera_info: P is all zeros, and D is not: calibrate the camera, or set the parameter "
                    "rectified to what its images are"
                )
        left, top = int(info.roi.x_offset), int(info.roi.y_offset)
        width, height = int(info.roi.width) or int(info.width), int(info.roi.height) or int(info.height)
        by_x, by_y = max(1, int(info.binning_x)), max(1, int(info.binning_y))
        return cls(
            width // by_x,
            height // by_y,
            fx / by_x,
            fy / by_y,
            (cx - left) / by_x,
            (cy - top) / by_y,
            model,
            coefficients,
        )

    def scaled(self, width: int, height: int) -> CameraModel:
        """The same camera where its images are resized to width x height, as this package resizes: the
        images' outlines agree. Raises ImageError where the aspect ratio is another by more than a pixel.
        """
        if (width, height) == (self.width, self.height):
            return self
        if abs(width * self.height - height * self.width) > max(self.width, self.height):
            raise ImageError(
                f"camera_info is for images of {self.width}x{self.height} and the image is {width}x{height}, "
                "of another aspect ratio: use the camera_info of that image"
            )
        x, y = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * x,
            fy=self.fy * y,
            cx=(self.cx + 0.5) * x - 0.5,
            cy=(self.cy + 0.5) * y - 0.5,
        )

    def unproject(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Pixel coordinates -> x and y where z is 1: the rays, in the type of ``u`` (float64 is best). NaN
        where the lens shows nothing.
        """
        return self._kind.removed((u - self.cx) / self.fx, (v - self.cy) / self.fy)

    def project(self, x: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Points in the optical frame -> pixel coordinates; NaN for points behind the camera, or so far to
        the side that the distortion would fold them back into the image.
        """
        in_front = torch.where(z > 0, z, math.nan)
        u, v = self._kind.applied(x / in_front, y / in_front)
        return u * self.fx + self.cx, v * self.fy + self.cy

    def grid(self, shift: float = 0.0, more: int = 0) -> tuple[Tensor, Tensor]:
        """``unproject`` of every pixel, moved by ``shift`` pixels both ways, with ``more`` further rows and
        columns: x and y, each H x W float64."""
        u = torch.arange(self.width + more, dtype=torch.float64) + shift
        v = torch.arange(self.height + more, dtype=torch.float64) + shift
        rows, columns = torch.meshgrid(v, u, indexing="ij")
        # A few rows at a time, which stay in the cache: several times faster.
        band = max(1, BAND_VALUES // len(u))
        bands = [
            self.unproject(columns[top : top + band], rows[top : top + band])
            for top in range(0, len(v), band)
        ]
        x, y = (torch.cat(parts) for parts in zip(*bands, strict=True))
        return x, y

    @property
    def _kind(self) -> Distortion:
        kind: Distortion = self._distortion  # type: ignore[attr-defined]
        return kind


@lru_cache(16)
def fitted(model: CameraModel, width: int, height: int) -> CameraModel:
    """``model.scaled(width, height)``, kept: every frame asks."""
    return model.scaled(width, height)


def _numbers(values: Any, count: int, name: str) -> list[float]:
    if len(values) != count:
        raise ImageError(f"camera_info: {name} has {len(values)} numbers; it needs {count}")
    return [float(value) for value in values]


def _coefficients(values: Any) -> tuple[float, ...]:
    if len(values) > MOST_COEFFICIENTS:
        raise ImageError(
            f"camera_info: D has {len(values)} numbers; no distortion model has more than "
            f"{MOST_COEFFICIENTS}: calibrate the camera"
        )
    return tuple(float(value) for value in values)
