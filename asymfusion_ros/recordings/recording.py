"""A recording: RGB and depth images in the order in which a camera delivered them.

Sources (the built-in scene, a folder, a bag) make recordings; the player publishes them. Nothing here
knows ROS, and an image keeps its bytes as they were recorded, so that a bag with row padding, big-endian
depth or an unusual encoding reaches the node exactly as the camera would have sent it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import UserError

NANOSECONDS = 1_000_000_000


class RecordingError(UserError):
    """A recording that is missing, damaged, or holds no RGB and depth images that can be told apart."""


@dataclass(frozen=True)
class Calibration:
    """What sensor_msgs/CameraInfo says of one camera: pixels, row-major matrices."""

    width: int
    height: int
    k: tuple[float, ...]  # 3 x 3
    d: tuple[float, ...] = ()
    r: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)  # 3 x 3
    p: tuple[float, ...] = ()  # 3 x 4
    distortion_model: str = "plumb_bob"

    @classmethod
    def pinhole(cls, width: int, height: int, fx: float, fy: float, cx: float, cy: float) -> Calibration:
        """A rectified camera without distortion; all lengths in pixels."""
        k = (fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0)
        p = (fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0)
        return cls(width, height, k, (0.0,) * 5, p=p)


@dataclass(frozen=True)
class RecordedImage:
    """One image of a recording, in the layout of sensor_msgs/Image.

    ``due`` is when it was delivered and ``stamp`` when it was taken, both in nanoseconds since the first
    delivery (so a stamp is negative where the camera took that image before).
    """

    modality: str
    due: int
    stamp: int
    frame_id: str
    height: int
    width: int
    encoding: str
    step: int
    data: npt.NDArray[np.uint8]
    bigendian: bool = False
    calibration: Calibration | None = None

    @classmethod
    def from_array(
        cls,
        modality: str,
        time: int,
        image: npt.NDArray[np.generic],
        frame_id: str,
        calibration: Calibration | None = None,
    ) -> RecordedImage:
        """An image delivered at the moment it was taken: H x W x 3 uint8 RGB, or H x W uint16 millimetres."""
        frame = RawImage.from_array(image)
        return cls(
            modality,
            time,
            time,
            frame_id,
            frame.height,
            frame.width,
            frame.encoding,
            frame.step,
            frame.data,
            frame.bigendian,
            calibration,
        )


class Recording(Protocol):
    """Iterating gives the images in order of ``due``; it can be iterated again."""

    @property
    def title(self) -> str:
        """One line for the user: what is played and where it comes from."""

    @property
    def seconds(self) -> float:
        """How long playing takes."""

    @property
    def images(self) -> Mapping[str, int]:
        """How many images of each modality iterating gives."""

    def __iter__(self) -> Iterator[RecordedImage]: ...
