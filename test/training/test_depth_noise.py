"""Depth made like a sensor's: what may change, and by how much."""

import numpy as np
import pytest

from asymfusion_training.data.depth_noise import with_holes, with_sensor_noise


def wall_and_box(near=1.0, far=3.0):
    depth = np.full((96, 128), far, np.float32)
    depth[30:70, 40:90] = near
    return depth


def test_holes_only_take_depth_away():
    depth = wall_and_box()
    shares = []
    for seed in range(10):
        holed = with_holes(depth, np.random.default_rng(seed))
        assert holed.dtype == np.float32
        missing = holed != depth
        assert (holed[missing] == 0).all()
        shares.append(missing.mean())
    assert max(shares) < 0.6
    assert max(shares) > 0.02


@pytest.mark.parametrize("seed", range(5))
def test_noise_keeps_what_is_unknown_unknown_and_nothing_else(seed):
    depth = wall_and_box()
    depth[:10] = 0
    noisy = with_sensor_noise(depth, 0.001, np.random.default_rng(seed))
    assert noisy.dtype == np.float32
    assert ((noisy == 0) == (depth == 0)).all()


def test_noise_grows_with_the_square_of_the_distance():
    """At most twice 0.0012 + 0.0019 (z - 0.4)^2 metres of standard deviation, besides the stored step."""
    spread = {}
    for metres in (1.0, 4.0):
        depth = np.full((100, 100), metres, np.float32)
        runs = [with_sensor_noise(depth, 0.0, np.random.default_rng(seed)).std() for seed in range(20)]
        limit = 2 * (0.0012 + 0.0019 * (metres - 0.4) ** 2)
        # values are rounded to steps of the noise's own size, which widens it a little
        assert max(runs) < 1.15 * limit + 0.001
        spread[metres] = np.mean(runs)
    assert spread[4.0] > 5 * spread[1.0]


def test_edges_become_ragged_and_stay_where_they_are():
    depth = wall_and_box()
    changed = np.zeros(depth.shape, bool)
    for seed in range(5):
        noisy = with_sensor_noise(depth, 0.0, np.random.default_rng(seed))
        changed |= np.abs(noisy - depth) > 1  # took the other surface's depth
    assert changed.any()
    y, x = np.nonzero(changed)
    distance = np.minimum.reduce([np.abs(y - 29.5), np.abs(y - 69.5), np.abs(x - 39.5), np.abs(x - 89.5)])
    assert distance.max() < 4
