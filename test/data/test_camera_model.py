"""Rays and projections: by hand for a tiny camera, against OpenCV for lenses, and what is refused."""

from __future__ import annotations

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.errors import ImageError

TINY = CameraModel(width=3, height=2, fx=2.0, fy=4.0, cx=1.0, cy=0.5)
LENSES = {
    "plumb_bob": (0.12, -0.25, 0.001, -0.002, 0.07),
    "rational_polynomial": (0.3, -0.1, 0.0005, -0.0008, 0.02, 0.1, -0.05, 0.01),
    "equidistant": (-0.01, 0.03, -0.02, 0.004),
}


def camera_info(**changes):
    """What a camera of 640x480 says; K and P differ so that one can tell which was taken."""
    values = {
        "width": 640,
        "height": 480,
        "distortion_model": "plumb_bob",
        "d": [0.1, 0.0, 0.0, 0.0, 0.0],
        "k": [500.0, 0.0, 320.0, 0.0, 510.0, 240.0, 0.0, 0.0, 1.0],
        "p": [400.0, 0.0, 310.0, 0.0, 0.0, 410.0, 230.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "binning_x": 0,
        "binning_y": 0,
        "roi": SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    }
    return SimpleNamespace(**values | changes)


def lens(name: str) -> CameraModel:
    return CameraModel(640, 480, 400.0, 410.0, 318.0, 243.0, name, LENSES[name])


def test_the_rays_of_a_tiny_camera():
    x, y = TINY.grid()
    assert x.tolist() == [[-0.5, 0.0, 0.5], [-0.5, 0.0, 0.5]]
    assert y.tolist() == [[-0.125] * 3, [0.125] * 3]


def test_the_pixel_of_a_point():
    x, y, z = (torch.tensor(values) for values in ([1.0, 0.0, 1.0], [-0.5, 0.0, 0.0], [2.0, 5.0, -2.0]))
    u, v = TINY.project(x, y, z)
    assert u.tolist()[:2] == [2.0, 1.0]
    assert v.tolist()[:2] == [-0.5, 0.5]
    assert u[2].isnan() and v[2].isnan()  # behind the camera


def test_a_resized_image_shows_the_same_rays_at_its_outline():
    half = TINY.scaled(6, 4)
    assert (half.fx, half.fy) == (4.0, 8.0)
    # The image's left edge, half a pixel before the first centre, is -0.75 wide of the axis in both.
    for camera in (TINY, half):
        x, y = camera.unproject(torch.tensor(-0.5), torch.tensor(-0.5))
        assert (float(x), float(y)) == (-0.75, -0.25)


def test_rectified_images_have_p_and_others_k_and_d():
    assert CameraModel.from_camera_info(camera_info(), rectified=True) == CameraModel(
        640, 480, 400.0, 410.0, 310.0, 230.0
    )
    assert CameraModel.from_camera_info(camera_info(), rectified=False) == CameraModel(
        640, 480, 500.0, 510.0, 320.0, 240.0, "plumb_bob", (0.1, 0.0, 0.0, 0.0, 0.0)
    )


def test_binning_and_region_of_interest():
    region = SimpleNamespace(x_offset=100, y_offset=40, width=400, height=200)
    model = CameraModel.from_camera_info(camera_info(binning_x=2, binning_y=2, roi=region), rectified=True)
    assert model == CameraModel(200, 100, 200.0, 205.0, 105.0, 95.0)


def test_a_rectified_camera_without_p_has_k():
    straight = camera_info(p=[0.0] * 12, d=[0.0] * 5)
    assert CameraModel.from_camera_info(straight, rectified=True).fx == 500.0
    with pytest.raises(ImageError, match="P is all zeros, and D is not: calibrate the camera, or set"):
        CameraModel.from_camera_info(camera_info(p=[0.0] * 12), rectified=True)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"k": [0.0] * 9}, "fx is 0 for images of 640x480: calibrate"),
        ({"k": [math.nan] * 9}, "fx is nan"),
        ({"k": [1e-300, 0, 320, 0, 510, 240, 0, 0, 1]}, "fx is 1e-300"),
        ({"k": [500, 0, math.inf, 0, 510, 240, 0, 0, 1]}, "cx is inf"),
        ({"width": 0}, "for images of 0x480"),
        ({"d": [math.nan] * 5}, r"D is \[nan"),
        ({"d": [0.1] * 6}, "D of plumb_bob has 6 numbers"),
        ({"d": [0.1] * 1000}, "D has 1000 numbers"),
        ({"d": [0.1] * 14}, "tilted sensor"),
        ({"distortion_model": "mei" * 1000}, "model 'mei[a-z]{37}' is not supported: use rectified images"),
        ({"distortion_model": "equidistant"}, "D of equidistant has 5 numbers; it has 4"),
        ({"k": []}, "K has 0 numbers; it needs 9"),
    ],
)
def test_what_no_camera_has_is_refused_in_one_line(changes, line):
    with pytest.raises(ImageError, match=line) as refused:
        CameraModel.from_camera_info(camera_info(**changes), rectified=False)
    assert len(str(refused.value)) < 250 and "\n" not in str(refused.value)


def test_the_image_may_be_resized_but_not_cut():
    camera = CameraModel(1280, 720, 900.0, 900.0, 640.0, 360.0)
    assert camera.scaled(427, 240).width == 427  # 426.67, rounded
    with pytest.raises(ImageError, match="for images of 1280x720 and the image is 640x480"):
        camera.scaled(640, 480)


@pytest.mark.parametrize("name", LENSES)
def test_every_pixel_comes_back(name):
    camera = lens(name).scaled(160, 120)
    x, y = camera.grid()
    rows, columns = torch.meshgrid(torch.arange(120.0), torch.arange(160.0), indexing="ij")
    u, v = camera.project(x * 3, y * 3, torch.full_like(x, 3.0))
    torch.testing.assert_close(u, columns.double(), atol=1e-6, rtol=0)
    torch.testing.assert_close(v, rows.double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", LENSES)
def test_lenses_are_opencv_s(name):
    camera = lens(name)
    points = np.random.default_rng(0).uniform((-0.7, -0.5, 1), (0.7, 0.5, 1), (100, 3))
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    project = cv2.fisheye.projectPoints if name == "equidistant" else cv2.projectPoints
    shape = (100, 1, 3)
    pixels, _ = project(points.reshape(shape), np.zeros(3), np.zeros(3), matrix, np.array(LENSES[name]))
    found = torch.stack(camera.project(*torch.from_numpy(points.T)), -1)
    np.testing.assert_allclose(found.numpy(), pixels[:, 0], atol=1e-9)


def test_points_far_to_the_side_do_not_fold_back_into_the_image():
    # x (1 - 0.3 x^2) rises until x = 1.054 and falls after it: at x = 1.8 it would be 0.05.
    camera = CameraModel(640, 480, 400.0, 400.0, 319.5, 239.5, "plumb_bob", (-0.3, 0.0, 0.0, 0.0, 0.0))
    x = torch.tensor([0.0, 1.0, 1.8])
    u, _ = camera.project(x, torch.zeros(3), torch.ones(3))
    assert u[:2].tolist() == pytest.approx([319.5, 319.5 + 280.0])
    assert u[2].isnan()
    # And no ray is seen where the lens shows nothing: 0.703 is the farthest.
    x, _ = camera.unproject(torch.tensor([319.5 + 400 * 0.71]).double(), torch.tensor([239.5]).double())
    assert x.isnan().all()


numbers = st.one_of(st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 500.0, -1.0, 0.1]))


@settings(max_examples=150, deadline=None)
@given(
    k=st.lists(numbers, min_size=9, max_size=9),
    d=st.lists(numbers, max_size=15),
    model=st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "", "none", "x\n"]),
    rectified=st.booleans(),
    size=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)
def test_any_camera_info_is_a_model_or_one_line(k, d, model, rectified, size):
    info = camera_info(k=k, p=[*k, 0.0, 0.0, 0.0], d=d, distortion_model=model, width=size[0], height=size[1])
    try:
        x, _ = CameraModel.from_camera_info(info, rectified).scaled(4, 3).grid()
    except ImageError as error:
        assert "\n" not in str(error)
    else:
        assert x.shape == (3, 4)
        assert not x.isinf().any()
