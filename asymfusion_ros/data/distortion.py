"""Lens distortion as sensor_msgs/distortion_models names it: where an ideal ray's image really falls.

plumb_bob (k1, k2, p1, p2, k3) and rational_polynomial (k4, k5, k6 and the thin prism's s1 to s4 after them)
are one formula, OpenCV's; equidistant (k1 to k4) is OpenCV's fisheye model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from asymfusion_ros.errors import ImageError

MOST_COEFFICIENTS = 14  # the most coefficients of any model
STEPS = 20  # of Newton's method; a usual lens takes four
EXACT = 1e-12  # a residual in ray coordinates after which no further step is needed
WRONG = 1e-6  # one that says that the lens shows nothing there
SAMPLES = 4096
STEEPEST = 20.0  # tan of the largest angle off the axis that is looked at, 87 degrees
# What librealsense's recorder writes, mostly with coefficients that are all 0.
REALSENSE = ("Brown Conrady", "Modified Brown Conrady", "Inverse Brown Conrady")


class Distortion(Protocol):
    """One lens."""

    @property
    def name(self) -> str:
        """As CameraInfo has it."""

    @property
    def coefficients(self) -> tuple[float, ...]:
        """In CameraInfo's order."""

    def applied(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Ideal ray coordinates (x / z, y / z) -> those at which the lens shows them; NaN beyond its view."""

    def removed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The inverse; NaN where the lens shows nothing."""


def lens(model: str, coefficients: tuple[float, ...]) -> Distortion:
    """The lens of a camera_info. Raises ImageError for a model or coefficients that are not one."""
    if not all(math.isfinite(value) for value in coefficients):
        raise ImageError(f"camera_info: D is {list(coefficients)}: calibrate the camera")
    if model in ("none", "", *REALSENSE) and not any(coefficients):
        return NoDistortion()
    if model in ("plumb_bob", "rational_polynomial"):
        if len(coefficients) not in (0, 4, 5, 8, 12, 14):
            raise ImageError(
                f"camera_info: D of {model} has {len(coefficients)} numbers; it has 4, 5, 8, 12 or 14"
            )
        if any(coefficients[12:]):
            raise ImageError(
                "camera_info: a tilted sensor (the 13th and 14th number of D) is not supported: use "
                "rectified images"
            )
        return Polynomial(model, coefficients) if any(coefficients) else NoDistortion()
    if model == "equidistant":
        if len(coefficients) != 4:
            raise ImageError(f"camera_info: D of equidistant has {len(coefficients)} numbers; it has 4")
        return Equidistant(coefficients)
    raise ImageError(
        f"camera_info: distortion model {model[:40]!r} is not supported: use rectified images, or one of "
        "none, plumb_bob, rational_polynomial, equidistant"
    )


@dataclass(frozen=True)
class NoDistortion:
    """A rectified image's."""

    name: ClassVar[str] = "none"
    coefficients: tuple[float, ...] = ()

    def applied(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The same."""
        return x, y

    def removed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The same."""
        return x, y


class Polynomial:
    """plumb_bob and rational_polynomial."""

    def __init__(self, name: str, coefficients: tuple[float, ...]) -> None:
        self.name = name
        self.coefficients = coefficients
        full = (*coefficients, *(0.0,) * (MOST_COEFFICIENTS - len(coefficients)))
        self._k1, self._k2, self._p1, self._p2, self._k3, self._k4, self._k5, self._k6 = full[:8]
        self._s = full[8:12]
        # Beyond the first angle at which a ray farther out falls no farther out, the formula means nothing.
        radius = torch.linspace(0, STEEPEST, SAMPLES, dtype=torch.float64)
        radial, slope = self._radial(radius.square())
        folded = ~((radial + 2 * radius.square() * slope > 0) & (radial > 0))
        self._limit = float(radius[folded.to(torch.uint8).argmax()]) if folded.any() else math.inf

    def _radial(self, r2: Tensor) -> tuple[Tensor, Tensor]:
        """The radial factor, and its derivative by r squared."""
        over = 1 + r2 * (self._k1 + r2 * (self._k2 + r2 * self._k3))
        under = 1 + r2 * (self._k4 + r2 * (self._k5 + r2 * self._k6))
        over_slope = self._k1 + r2 * (2 * self._k2 + r2 * 3 * self._k3)
        under_slope = self._k4 + r2 * (2 * self._k5 + r2 * 3 * self._k6)
        return over / under, (over_slope - over / under * under_slope) / under

    def _formula(self, x: Tensor, y: Tensor, r2: Tensor, radial: Tensor) -> tuple[Tensor, Tensor]:
        s1, s2, s3, s4 = self._s
        p1, p2 = self._p1, self._p2
        shown_x = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        shown_y = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        if any(self._s):
            shown_x = shown_x + r2 * (s1 + s2 * r2)
            shown_y = shown_y + r2 * (s3 + s4 * r2)
        return shown_x, shown_y

    def applied(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """See Distortion."""
        r2 = x * x + y * y
        if math.isfinite(self._limit):
            r2 = torch.where(r2 < self._limit**2, r2, math.nan)
        return self._formula(x, y, r2, self._radial(r2)[0])

    def removed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """See Distortion. By Newton's method from the distorted point."""
        s1, s2, s3, s4 = self._s
        p1, p2 = self._p1, self._p2
        ideal_x, ideal_y = x.clone(), y.clone()
        for _ in range(STEPS):
            r2 = ideal_x * ideal_x + ideal_y * ideal_y
            radial, slope = self._radial(r2)
            shown_x, shown_y = self._formula(ideal_x, ideal_y, r2, radial)
            off_x, off_y = shown_x - x, shown_y - y
            if bool((torch.maximum(off_x.abs(), off_y.abs()).nan_to_num(0.0) < EXACT).all()):
                break
            cross = 2 * ideal_x * ideal_y * slope + 2 * p1 * ideal_x + 2 * p2 * ideal_y
            prism_x, prism_y = 2 * (s1 + 2 * s2 * r2), 2 * (s3 + 2 * s4 * r2)
            a = radial + 2 * ideal_x.square() * slope + 2 * p1 * ideal_y + 6 * p2 * ideal_x
            d = radial + 2 * ideal_y.square() * slope + 6 * p1 * ideal_y + 2 * p2 * ideal_x
            a, d = a + ideal_x * prism_x, d + ideal_y * prism_y
            b, c = cross + ideal_y * prism_x, cross + ideal_x * prism_y
            whole = a * d - b * c
            ideal_x = ideal_x - (d * off_x - b * off_y) / whole
            ideal_y = ideal_y - (a * off_y - c * off_x) / whole
        again_x, again_y = self.applied(ideal_x, ideal_y)
        right = torch.maximum((again_x - x).abs(), (again_y - y).abs()) < WRONG
        return torch.where(right, ideal_x, math.nan), torch.where(right, ideal_y, math.nan)


class Equidistant:
    """The fisheye lens of Kannala and Brandt: the distance from the centre follows the angle."""

    name: ClassVar[str] = "equidistant"

    def __init__(self, coefficients: tuple[float, ...]) -> None:
        self.coefficients = coefficients
        angle = torch.linspace(0, math.pi / 2, SAMPLES, dtype=torch.float64)
        folded = ~(self._shown(angle)[1] > 0)
        self._limit = float(angle[folded.to(torch.uint8).argmax()]) if folded.any() else math.pi / 2

    def _shown(self, angle: Tensor) -> tuple[Tensor, Tensor]:
        """The shown distance from the centre, and its derivative."""
        k1, k2, k3, k4 = self.coefficients
        a2 = angle * angle
        shown = angle * (1 + a2 * (k1 + a2 * (k2 + a2 * (k3 + a2 * k4))))
        return shown, 1 + a2 * (3 * k1 + a2 * (5 * k2 + a2 * (7 * k3 + a2 * 9 * k4)))

    def applied(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """See Distortion."""
        radius = torch.hypot(x, y)
        angle = torch.atan(radius)
        shown = self._shown(torch.where(angle < self._limit, angle, math.nan))[0]
        scale = torch.where(radius > 0, shown / radius, 1.0)
        return x * scale, y * scale

    def removed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """See Distortion. By Newton's method on the angle."""
        radius = torch.hypot(x, y)
        angle = radius.clone()
        for _ in range(STEPS):
            shown, slope = self._shown(angle)
            if bool(((shown - radius).abs().nan_to_num(0.0) < EXACT).all()):
                break
            angle = (angle - (shown - radius) / slope).clamp(0, self._limit)
        right = ((self._shown(angle)[0] - radius).abs() < WRONG) & (angle < self._limit)
        scale = torch.where(radius > 0, torch.tan(angle) / radius, 1.0)
        scale = torch.where(right, scale, math.nan)
        return x * scale, y * scale
