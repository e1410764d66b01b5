"""Temporal consistency, worked out by hand."""

import numpy as np
import torch

from asymfusion_ros.replay.consistency import STEP, Consistency

SECOND = 10**9


def rgb(rows):
    """1 x 3 x H x W of grey levels."""
    return torch.tensor(rows, dtype=torch.float32).expand(1, 3, -1, -1)


def depth(rows):
    return torch.tensor(rows, dtype=torch.float32)[None, None]


def spaced(rows):
    """The rows and columns that are looked at, with others between them."""
    small = np.array(rows)
    return np.repeat(np.repeat(small, STEP, 0), STEP, 1)


def spread(make, rows):
    return make(spaced(rows).tolist())


def test_pixels_count_where_neither_colour_nor_depth_says_that_something_moved():
    steady = Consistency(["rgb"], ["depth"])
    labels = np.uint8([[1, 1, 1, 1, 1, 1]])
    first = {"rgb": spread(rgb, [[100] * 6]), "depth": spread(depth, [[1.0, 1.0, 4.0, 0.0, 1.0, 4.0]])}
    assert steady.add(0, first, spaced(labels)) == (0, 0)
    second = {
        # still; too much colour; 7 cm of 4 m is less than 2 %; depth unknown before; 3 cm of 1 m; still
        "rgb": spread(rgb, [[112, 113, 100, 100, 100, 88]]),
        "depth": spread(depth, [[1.02, 1.0, 4.07, 1.0, 1.03, 4.0]]),
    }
    now = np.uint8([[1, 9, 1, 9, 9, 2]])
    # Three are still: the first, the third and the last, which has another class.
    assert steady.add(SECOND // 10, second, spaced(now)) == (3, 2)


def test_frames_of_colour_alone_go_by_colour():
    steady = Consistency(["rgb"], ["depth"])
    steady.add(0, {"rgb": spread(rgb, [[10, 20]])}, spaced(np.uint8([[0, 0]])))
    found = steady.add(1, {"rgb": spread(rgb, [[10, 90]])}, spaced(np.uint8([[0, 0]])))
    assert found == (1, 1)


def test_frames_that_cannot_be_compared_count_nothing():
    one = {"rgb": spread(rgb, [[10, 20]]), "depth": spread(depth, [[1.0, 1.0]])}
    labels = spaced(np.uint8([[0, 0]]))
    steady = Consistency(["rgb"], ["depth"])
    steady.add(0, one, labels)
    assert steady.add(2 * SECOND, one, labels) == (0, 0)  # too far apart
    assert steady.add(2 * SECOND + 1, {"rgb": one["rgb"]}, labels) == (0, 0)  # without depth
    larger = {"rgb": spread(rgb, [[10, 20, 30]])}
    assert steady.add(2 * SECOND + 2, larger, spaced(np.uint8([[0, 0, 0]]))) == (0, 0)
    assert steady.add(2 * SECOND + 3, larger, spaced(np.uint8([[0, 0, 0]]))) == (3, 3)


def test_depth_of_another_size_is_looked_at_where_it_lies():
    steady = Consistency(["rgb"], ["depth"])
    labels = spaced(np.uint8([[0, 0]]))
    steady.add(0, {"rgb": spread(rgb, [[10, 20]]), "depth": depth([[1.0, 2.0]])}, labels)
    moved = {"rgb": spread(rgb, [[10, 20]]), "depth": depth([[1.0, 3.0]])}
    assert steady.add(1, moved, labels) == (1, 1)
