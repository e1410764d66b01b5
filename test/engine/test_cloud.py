"""Labelled points: by hand for a tiny camera, and the same bytes on every device."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.data.transform import Transform
from asymfusion_ros.engine import cloud
from asymfusion_ros.engine.cloud import POINT
from asymfusion_ros.engine.geometry import Geometry, Projector, Unregistered
from asymfusion_ros.engine.segmenter import Segmenter

CPU = torch.device("cpu")
TINY = CameraModel(3, 2, fx=2.0, fy=4.0, cx=1.0, cy=0.5)
DEPTH = torch.tensor([[2.0, 0.0, 4.0], [math.nan, math.inf, -1.0]])
LABELS = torch.tensor([[1, 2, 3], [4, 5, 255]], dtype=torch.uint8)
CONFIDENCE = torch.tensor([[0, 51, 255], [102, 153, 204]], dtype=torch.uint8)
RGB = torch.arange(18, dtype=torch.uint8).view(2, 3, 3).permute(2, 0, 1)


def points(camera=TINY, depth=DEPTH, rgb=RGB):
    images = {"rgb": rgb[None]} if rgb is not None else {}
    if depth is not None:
        images["depth"] = depth[None, None]
    geometry = Geometry(camera, None if depth is None else "depth", points=True)
    made = Projector(CPU).points(geometry, images, LABELS, CONFIDENCE)
    return made.numpy().view(POINT)[..., 0]


def test_a_point_has_24_bytes_in_the_order_of_its_fields():
    assert POINT.itemsize == 24
    assert {name: (kind.name, offset) for name, (kind, offset) in POINT.fields.items()} == {
        "x": ("float32", 0),
        "y": ("float32", 4),
        "z": ("float32", 8),
        "rgb": ("float32", 12),
        "label": ("uint32", 16),
        "confidence": ("float32", 20),
    }


def test_the_points_of_a_tiny_camera():
    found = points()
    nan = math.nan
    np.testing.assert_array_equal(found["x"], np.float32([[-1.0, nan, 2.0], [nan, nan, nan]]))
    np.testing.assert_array_equal(found["y"], np.float32([[-0.25, nan, -0.5], [nan, nan, nan]]))
    np.testing.assert_array_equal(found["z"], np.float32([[2.0, nan, 4.0], [nan, nan, nan]]))
    assert found["label"].tolist() == LABELS.tolist()
    np.testing.assert_allclose(found["confidence"], [[0.0, 0.2, 1.0], [0.4, 0.6, 0.8]], rtol=1e-6)
    # Pixel (1, 2) is R, G, B = 15, 16, 17.
    assert found["rgb"].view(np.uint32)[1, 2] == 0x000F1011


def test_without_colour_they_are_black_and_without_depth_nowhere():
    assert not points(rgb=None)["rgb"].any()
    found = points(depth=None)
    assert all(np.isnan(found[name]).all() for name in "xyz")
    assert found["label"].tolist() == LABELS.tolist()


def test_depth_of_another_size_is_resized_as_for_the_network():
    found = points(depth=torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]))
    np.testing.assert_array_equal(found["z"], [[2.0, 4.0, 6.0]] * 2)


def test_cameras_take_turns():
    other = CameraModel(3, 2, fx=1.0, fy=1.0, cx=0.0, cy=0.0)
    projector = Projector(CPU)
    for camera, expected in ((TINY, 2.0), (other, 8.0), (TINY, 2.0)):
        geometry = Geometry(camera, "depth", points=True)
        made = projector.points(geometry, {"depth": DEPTH[None, None]}, LABELS, CONFIDENCE)
        assert made.numpy().view(POINT)["x"][0, 2, 0] == expected


def test_no_ray_no_point():
    # A lens that shows nothing farther out than 0.703: the corners of this image.
    camera = CameraModel(3, 2, 1.3, 1.3, 1.0, 0.5, "plumb_bob", (-0.3, 0.0, 0.0, 0.0, 0.0))
    found = points(camera, depth=torch.ones(2, 3))
    for name in "xyz":
        assert np.isnan(found[name]).tolist() == [[True, False, True]] * 2


def test_a_gpu_makes_the_same_bytes():
    rng = torch.Generator().manual_seed(0)
    size = (48, 64)
    depth = torch.rand(size, generator=rng) - 0.1
    rays = torch.rand((3, *size), generator=rng)
    rgb = torch.randint(0, 256, (3, *size), generator=rng, dtype=torch.uint8)
    labels = torch.randint(0, 256, size, generator=rng, dtype=torch.uint8)
    for colour in (rgb, None):
        arguments = rays, torch.where(depth > 0, depth, torch.nan), colour, labels, rgb[0]
        ours, theirs = cloud._on_host(*arguments), cloud._on_device(*arguments)
        xyz = [bytes_of.numpy().view(POINT)[["x", "y", "z"]] for bytes_of in (ours, theirs)]
        for name in "xyz":  # a NaN's own bits may differ
            np.testing.assert_array_equal(xyz[0][name], xyz[1][name])
        assert torch.equal(ours[..., 12:], theirs[..., 12:])


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.from_checkpoint("default", device="cpu")


def test_the_network_and_the_points_get_the_registered_depth(segmenter):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (48, 64, 3), np.uint8)
    depth = np.full((24, 32), 2000, np.uint16)
    camera = CameraModel(64, 48, 50.0, 50.0, 31.5, 23.5)
    nearer = Transform.parse("0 0 -0.5 0 0 0 1")  # the colour camera stands half a metre farther on
    unregistered = Unregistered(camera.scaled(32, 24), nearer)
    geometry = Geometry(camera, "depth", unregistered, points=True)
    result = segmenter.segment({"rgb": rgb, "depth": depth}, confidence=False, geometry=geometry).numpy()
    # Every pixel of the image is covered: what was 2 m from the one camera is 1.5 m from the other.
    expected = segmenter(rgb, np.full((48, 64), 1500, np.uint16)).numpy()
    np.testing.assert_array_equal(result.labels, expected.labels)
    # The registered depth is 1.5 m but for rounding.
    assert abs(result.confidence.astype(int) - expected.confidence).max() <= 1
    found = result.points.view(POINT)[..., 0]
    np.testing.assert_allclose(found["z"], 1.5, rtol=1e-6)
    np.testing.assert_allclose(found["x"][0], (np.arange(64) - 31.5) / 50 * 1.5, rtol=1e-5)
    np.testing.assert_array_equal(found["label"], result.labels)
    assert not result.out_of_view


def test_depth_that_falls_nowhere_is_left_out(segmenter):
    rgb = np.zeros((48, 64, 3), np.uint8)
    camera = CameraModel(64, 48, 50.0, 50.0, 31.5, 23.5)
    unregistered = Unregistered(camera, Transform.parse("0 0 0 0 1 0 0"))
    geometry = Geometry(camera, "depth", unregistered, points=True)
    result = segmenter.segment({"rgb": rgb, "depth": np.ones((48, 64), np.uint16)}, geometry=geometry).numpy()
    assert result.out_of_view
    np.testing.assert_array_equal(result.labels, segmenter(rgb).numpy().labels)
    assert np.isnan(result.points.view(POINT)["z"]).all()
