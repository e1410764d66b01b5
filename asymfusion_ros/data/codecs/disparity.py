"""Disparity to depth: what stereo cameras measure."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from asymfusion_ros.errors import ImageError


def check_geometry(f: float, t: float) -> None:
    """``f``: focal length in pixels; ``t``: baseline in metres. Raises ImageError where there is no depth."""
    if not (math.isfinite(f) and math.isfinite(t) and f > 0 and t > 0):
        raise ImageError(
            f"the focal length f is {f:g} and the baseline T is {t:g}: both must be positive to make depth "
            "of disparity; is the stereo camera calibrated, and are left and right not swapped?"
        )


def depth_of(
    disparity: npt.NDArray[np.generic], f: float, t: float, min_disparity: float
) -> npt.NDArray[np.float32]:
    """Z = f T / d: H x W disparities in pixels -> H x W float32 metres.

    NaN where a disparity is not finite, not above 0, or below ``min_disparity``, with which
    stereo_msgs/DisparityImage marks what was not measured.
    """
    d = disparity.astype(np.float32)  # in this machine's byte order too
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        valid = np.isfinite(d) & (d > 0) & (d >= min_disparity)
        return np.where(valid, np.float32(f * t) / d, np.float32(np.nan))
