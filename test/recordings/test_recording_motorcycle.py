"""The built-in recording: depth from disparity, and RGB, depth and calibration that agree in every frame."""

import numpy as np
import pytest

from asymfusion_ros.recordings.motorcycle import MotorcycleRecording, depth_from_disparity, load_pair
from asymfusion_ros.recordings.recording import RecordedImage


def image(sample: RecordedImage) -> np.ndarray:
    if sample.encoding == "rgb8":
        return sample.data.reshape(sample.height, sample.width, 3)
    return sample.data.view("<u2").reshape(sample.height, sample.width)


@pytest.fixture(scope="module")
def frames() -> list[tuple[RecordedImage, RecordedImage]]:
    samples = list(MotorcycleRecording(rate=2, seconds=10))
    return list(zip(samples[::2], samples[1::2]))


def test_depth_from_one_disparity():
    # 994.978 x 193.001 = 192031.749; a disparity of 68.914 makes the sum 100, so 1920.3 mm.
    assert depth_from_disparity(np.array([[68.914]], np.float32))[0, 0] == 1920


def test_unknown_disparity_is_depth_zero():
    disparity = np.array([[np.nan, np.inf, -np.inf, 7.0]], np.float32)
    depth = depth_from_disparity(disparity)
    assert depth.dtype == np.uint16
    # 192031.749 / 38.086 = 5042.06
    assert depth.tolist() == [[0, 0, 0, 5042]]


def test_the_whole_pair_comes_without_a_download():
    rgb, depth = load_pair()
    assert rgb.shape == (500, 741, 3) and rgb.dtype == np.uint8
    assert depth.shape == (500, 741)
    # A garage: everything between one and ten metres, and most of it known.
    assert 0.9 < (depth > 0).mean() < 1
    assert depth[depth > 0].min() > 1000 and depth.max() < 10_000


def test_frames_are_windows_that_the_calibration_names(frames):
    rgb_whole, depth_whole = load_pair()
    for rgb, depth in frames:
        # The whole pair's principal point is (311.193, 254.877).
        x = round(311.193 - rgb.calibration.k[2])
        y = round(254.877 - rgb.calibration.k[5])
        assert np.array_equal(image(rgb), rgb_whole[y : y + 480, x : x + 640])
        assert np.array_equal(image(depth), depth_whole[y : y + 480, x : x + 640])


def test_a_point_keeps_its_place_in_the_world_while_the_camera_pans(frames):
    """A stud of the tank, back-projected with each frame's own CameraInfo and depth."""
    _, depth_whole = load_pair()
    column, row = 450, 250
    points = []
    for rgb, depth in frames:
        fx, _, cx, _, fy, cy = rgb.calibration.k[:6]
        u, v = column - round(311.193 - cx), row - round(254.877 - cy)
        z = float(image(depth)[v, u])
        points.append(((u - cx) * z / fx, (v - cy) * z / fy, z))
    assert points[0][2] == depth_whole[row, column] > 0
    assert np.ptp(points, axis=0).max() < 1e-6


def test_the_camera_pans_slowly_over_the_whole_width():
    recording = MotorcycleRecording(rate=15, seconds=10)
    places = np.array([recording.window(index / 15) for index in range(150)])
    assert np.abs(np.diff(places, axis=0)).max() <= 3
    # 741 - 640 and 500 - 480 pixels of room
    assert places.min(axis=0).tolist() == [0, 0]
    assert places.max(axis=0).tolist() == [101, 20]


def test_ten_seconds_at_fifteen_hertz():
    recording = MotorcycleRecording(rate=15, seconds=10)
    assert recording.images == {"rgb": 150, "depth": 150} and recording.seconds == 10
    rgb, depth, later = (sample for sample, _ in zip(recording, range(3)))
    assert (rgb.modality, rgb.encoding, rgb.width, rgb.height, rgb.step) == ("rgb", "rgb8", 640, 480, 1920)
    assert (depth.modality, depth.encoding, depth.step) == ("depth", "16UC1", 1280)
    assert rgb.stamp == depth.stamp == 0 and later.stamp == later.due == 66_666_667
