"""The built-in recording: the Middlebury motorcycle under a slowly panning camera. It needs no download.

scikit-image ships one real RGB and disparity pair (Scharstein et al., GCPR 2014). A 640 x 480 window
slides over it in whole pixels. That is a camera whose sensor moves behind a fixed lens: the principal
point moves in CameraInfo, focal length and depth values do not, and no pixel is interpolated, so RGB,
depth and calibration agree exactly in every frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asymfusion_ros.recordings.recording import NANOSECONDS, Calibration, RecordedImage, RecordingError

# Calibration of the pair as shipped (a quarter of the original resolution): pixels and millimetres.
FOCAL_LENGTH = 994.978
PRINCIPAL_POINT = (311.193, 254.877)
DISPARITY_OFFSET = 31.086  # the two cameras' principal points differ by this much
BASELINE = 193.001

WINDOW = (640, 480)  # width, height
PAN_PERIOD = 10.0  # seconds for one sweep to the right and back
TILT_PERIOD = 5.0
FRAME_ID = "camera_color_optical_frame"


def depth_from_disparity(disparity: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Disparity in pixels (not finite where unknown), H x W -> depth in millimetres, 0 where unknown.

    depth = f x baseline / (disparity + offset)
    """
    depth = np.zeros(disparity.shape, np.uint16)
    known = np.isfinite(disparity)
    depth[known] = np.rint(FOCAL_LENGTH * BASELINE / (disparity[known] + DISPARITY_OFFSET))
    return depth


def load_pair() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
    """The whole pair: RGB 500 x 741 x 3, depth 500 x 741 in millimetres.

    Reads the two files out of the scikit-image wheel; ``skimage.data.stereo_motorcycle`` would look for
    them in a download cache first.
    """
    import skimage.data
    import skimage.io

    folder = Path(skimage.data.__file__).parent
    picture, disparity = folder / "motorcycle_left.png", folder / "motorcycle_disp.npz"
    for path in (picture, disparity):
        if not path.is_file():
            raise RecordingError(
                f"this scikit-image does not ship {path.name}: pip install --force-reinstall scikit-image, "
                "or give a recording of your own with --recording or --folder"
            )
    rgb = np.ascontiguousarray(skimage.io.imread(picture)[..., :3])
    with np.load(disparity) as arrays:
        return rgb, depth_from_disparity(arrays["arr_0"])


class MotorcycleRecording:
    """``seconds`` of the panned pair at ``rate`` frames a second."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate = rate
        self.frames = max(1, round(seconds * rate))
        self._rgb, self._depth = load_pair()

    @property
    def title(self) -> str:
        """One line for the user."""
        size = "{}x{}".format(*WINDOW)
        return f"the Middlebury motorcycle (ships with scikit-image), panned, {size} at {self.rate:g} Hz"

    @property
    def seconds(self) -> float:
        """How long playing takes."""
        return self.frames / self.rate

    @property
    def images(self) -> dict[str, int]:
        """How many of each modality."""
        return dict.fromkeys(("rgb", "depth"), self.frames)

    def window(self, seconds: float) -> tuple[int, int]:
        """Left and top of the window at a time, in pixels of the whole pair."""
        height, width = self._depth.shape
        x = (width - WINDOW[0]) * 0.5 * (1 - math.cos(2 * math.pi * seconds / PAN_PERIOD))
        y = (height - WINDOW[1]) * 0.5 * (1 - math.cos(2 * math.pi * seconds / TILT_PERIOD))
        return round(x), round(y)

    def __iter__(self) -> Iterator[RecordedImage]:
        width, height = WINDOW
        for index in range(self.frames):
            time = round(index * NANOSECONDS / self.rate)
            x, y = self.window(index / self.rate)
            part = (slice(y, y + height), slice(x, x + width))
            calibration = Calibration.pinhole(
                width, height, FOCAL_LENGTH, FOCAL_LENGTH, PRINCIPAL_POINT[0] - x, PRINCIPAL_POINT[1] - y
            )
            yield RecordedImage.from_array("rgb", time, self._rgb[part], FRAME_ID, calibration)
            yield RecordedImage.from_array("depth", time, self._depth[part], FRAME_ID, calibration)
