"""Depth projected into another camera: by hand, and equal to plain loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.data.transform import Transform
from asymfusion_ros.engine.registration import LARGEST, Registration

CPU = torch.device("cpu")
TINY = CameraModel(3, 2, fx=2.0, fy=2.0, cx=1.0, cy=0.5)


def registered(depth, depth_camera, colour_camera, transform):
    made = Registration(depth_camera, colour_camera, transform, CPU)
    found = made(torch.tensor(depth, dtype=torch.float32))
    return found if found is None else found.numpy()


def test_a_camera_half_a_metre_to_the_left_sees_near_things_farther_to_the_right():
    # 0.5 m at 2 m is 0.5 m / 2 m x 2 pixels = half a pixel: corners at whole pixels, which cover two each.
    depth = [[0.0, 2.0, 0.0], [0.0, 0.0, math.nan]]
    shift = Transform.parse("0.5 0 0 0 0 0 1")
    # From (u, v) = (1, 0) +- half a pixel, moved by half: (1, -0.5) to (2, 0.5), rounded to (1, 0) to (2, 1).
    expected = [[0.0, 2.0, 2.0], [0.0, 2.0, 2.0]]
    np.testing.assert_array_equal(registered(depth, TINY, TINY, shift), expected)


def test_the_nearest_surface_wins():
    # The left pixel at 1 m moves a whole pixel to the right, onto the one at 4 m, which moves a quarter.
    depth = [[1.0, 4.0, 0.0], [0.0, 0.0, 0.0]]
    found = registered(depth, TINY, TINY, Transform.parse("0.5 0 0 0 0 0 1"))
    assert found[0].tolist() == [0.0, 1.0, 1.0]


def test_a_larger_image_gets_no_holes():
    camera = CameraModel(8, 6, 8.0, 8.0, 3.5, 2.5)
    large = camera.scaled(32, 24)
    found = registered(np.full((6, 8), 2.0), camera, large, Transform())
    assert (found == 2.0).all()


def test_distance_is_along_the_colour_cameras_axis():
    camera = CameraModel(5, 5, 5.0, 5.0, 2.0, 2.0)
    found = registered(np.full((5, 5), 2.0), camera, camera, Transform.parse("0 0 0.5 0 0 0 1"))
    assert found[2, 2] == 2.5


def test_nothing_measured_or_nothing_in_view_is_none():
    assert registered(np.zeros((2, 3)), TINY, TINY, Transform()) is None
    turned_round = Transform.parse("0 0 0 0 1 0 0")
    assert registered(np.ones((2, 3)), TINY, TINY, turned_round) is None


def test_the_largest_square_is_bounded():
    # A millimetre before the colour camera, a pixel of depth would cover the image.
    camera = CameraModel(41, 41, 41.0, 41.0, 20.0, 20.0)
    depth = np.zeros((41, 41))
    depth[20, 20] = 1.0
    found = registered(depth, camera, camera, Transform.parse("0 0 -0.97 0 0 0 1"))
    assert (found > 0).sum() == LARGEST**2


def shown(camera: CameraModel, x: float, y: float, z: float) -> tuple[float, float] | None:
    """The pixel of a point, by the lenses' formulas."""
    if z <= 0:
        return None
    x, y = x / z, y / z
    r2 = x * x + y * y
    if camera.distortion == "plumb_bob":
        k1, k2, p1, p2, k3 = camera.coefficients
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        x, y = (
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
        )
    elif camera.distortion == "equidistant" and r2 > 0:
        r = math.sqrt(r2)
        angle = math.atan(r)
        k1, k2, k3, k4 = camera.coefficients
        scale = angle * (1 + k1 * angle**2 + k2 * angle**4 + k3 * angle**6 + k4 * angle**8) / r
        x, y = x * scale, y * scale
    return camera.fx * x + camera.cx, camera.fy * y + camera.cy


def plain(depth, depth_camera, colour_camera, transform, slack):
    """For each pixel of the colour image the distances that fall on it, in two lists: surely, and perhaps,
    where a corner lies within ``slack`` pixels of where it is rounded the other way."""
    sure = [[[] for _ in range(colour_camera.width)] for _ in range(colour_camera.height)]
    perhaps = [[[] for _ in range(colour_camera.width)] for _ in range(colour_camera.height)]
    for v in range(depth_camera.height):
        for u in range(depth_camera.width):
            z = depth[v][u]
            if not (math.isfinite(z) and z > 0):
                continue
            pixels, distances = [], []
            for du, dv in ((-0.5, -0.5), (0.5, 0.5)):
                x, y = depth_camera.unproject(
                    torch.tensor(u + du, dtype=torch.float64), torch.tensor(v + dv, dtype=torch.float64)
                )
                point = transform.apply((float(x) * z, float(y) * z, z))
                pixels.append(shown(colour_camera, *point))
                distances.append(point[2])
            if None in pixels:
                continue
            distance = sum(distances) / 2
            for lists, widened in ((perhaps, slack), (sure, -slack)):
                ends = []
                for axis in (0, 1):
                    low, high = sorted(pixel[axis] for pixel in pixels)
                    first = math.floor(low + 0.5 - widened)
                    last = min(
                        math.floor(high + 0.5 + widened), math.floor(low + 0.5 + widened) + LARGEST - 1
                    )
                    ends.append((first, last))
                (left, right), (top, bottom) = ends
                for row in range(max(top, 0), min(bottom, colour_camera.height - 1) + 1):
                    for column in range(max(left, 0), min(right, colour_camera.width - 1) + 1):
                        lists[row][column].append(distance)
    return sure, perhaps


COLOURS = [
    CameraModel(9, 7, 9.0, 8.0, 4.2, 3.1),
    CameraModel(13, 11, 14.0, 14.0, 6.0, 5.0, "plumb_bob", (0.1, -0.2, 0.01, -0.02, 0.05)),
    CameraModel(13, 11, 8.0, 8.0, 6.0, 5.0, "equidistant", (0.05, -0.03, 0.01, -0.002)),
]
DEPTHS = [
    CameraModel(6, 5, 7.0, 7.0, 2.6, 2.1),
    CameraModel(6, 5, 5.0, 5.0, 2.6, 2.1, "plumb_bob", (0.1, -0.1, 0.005, 0.0, 0.0)),
    CameraModel(6, 5, 4.0, 4.0, 2.6, 2.1, "equidistant", (0.02, 0.0, 0.0, 0.0)),
]
distances = st.one_of(st.floats(0.3, 8.0), st.sampled_from([0.0, math.nan, math.inf, -1.0]))
small = st.floats(-0.4, 0.4)


@settings(max_examples=60, deadline=None)
@given(
    depth=st.lists(st.lists(distances, min_size=6, max_size=6), min_size=5, max_size=5),
    depth_camera=st.sampled_from(DEPTHS),
    colour_camera=st.sampled_from(COLOURS),
    shift=st.tuples(small, small, small),
    turn=st.tuples(small, small, st.floats(-3.0, 3.0)),
)
def test_it_equals_plain_loops(depth, depth_camera, colour_camera, shift, turn):
    length = math.hypot(*turn, 1.0)
    transform = Transform.from_quaternion((*shift, *(value / length for value in (*turn, 1.0))))
    sure, perhaps = plain(depth, depth_camera, colour_camera, transform, slack=1e-3)
    found = registered(depth, depth_camera, colour_camera, transform)
    if found is None:
        found = np.zeros((colour_camera.height, colour_camera.width))
    for row, column in np.ndindex(found.shape):
        certain = min(sure[row][column], default=0.0)
        allowed = [certain] + [z for z in perhaps[row][column] if not certain or z < certain]
        assert found[row, column] == pytest.approx(
            min(allowed, key=lambda z: abs(z - found[row, column])), rel=1e-4
        )
