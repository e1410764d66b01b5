"""Transforms between frames, worked out by hand."""

from __future__ import annotations

import math

import pytest

from asymfusion_ros.data.transform import Transform, TransformTree
from asymfusion_ros.errors import ConfigError

HALF = math.sqrt(0.5)
# A quarter turn about z takes x to y and y to -x.
QUARTER = Transform.from_quaternion((1.0, 2.0, 3.0, 0.0, 0.0, HALF, HALF))


def test_a_quarter_turn():
    assert QUARTER.apply((1.0, 0.0, 0.0)) == pytest.approx((1.0, 3.0, 3.0))
    assert QUARTER.inverse().apply((1.0, 3.0, 3.0)) == pytest.approx((1.0, 0.0, 0.0), abs=1e-12)


def test_one_after_another():
    right = Transform.parse("0.5, 0, 0, 0, 0, 0, 1")
    assert QUARTER.after(right).apply((1.0, 0.0, 0.0)) == pytest.approx((1.0, 3.5, 3.0))
    assert right.after(QUARTER).apply((1.0, 0.0, 0.0)) == pytest.approx((1.5, 3.0, 3.0))


def test_frames_are_joined_by_their_common_ancestor():
    tree = TransformTree()
    tree.add("camera", "rgb", Transform.parse("0.1 0 0 0 0 0 1"))
    tree.add("/camera", "/depth", Transform.parse("-0.2 0 0 0 0 0 1"))
    tree.add("depth", "depth_optical", QUARTER)
    tree.add("base", "camera", Transform.parse("5 5 5 0 0 0 1"))
    to_rgb = tree.between("depth_optical", "rgb")
    assert to_rgb.apply((1.0, 0.0, 0.0)) == pytest.approx((0.7, 3.0, 3.0))
    back = tree.between("rgb", "depth_optical")
    assert back.apply((0.7, 3.0, 3.0)) == pytest.approx((1.0, 0.0, 0.0), abs=1e-12)
    assert tree.between("rgb", "elsewhere") is None


def test_a_loop_of_frames_ends():
    tree = TransformTree()
    tree.add("a", "b", QUARTER)
    tree.add("b", "a", QUARTER)
    assert tree.between("a", "c") is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("1 2 3", r"\[1.0, 2.0, 3.0\] is not seven numbers: x y z qx qy qz qw"),
        ("a b", "'a b' is not seven numbers"),
        ("0 0 0 0 0 0 0", "is not a unit quaternion .its length is 0.: give qx qy qz qw, such as 0 0 0 1"),
        ("0 0 nan 0 0 0 1", "is not seven numbers"),
    ],
)
def test_what_is_no_transform_is_refused(text, line):
    with pytest.raises(ConfigError, match=line):
        Transform.parse(text)
