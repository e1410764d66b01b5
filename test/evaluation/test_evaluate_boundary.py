"""Boundary IoU by hand, by a loop over pixels, and by erosion of one class at a time."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asymfusion_training.evaluation.boundary import boundary, boundary_counts, boundary_iou, boundary_width

VOID = 255


def test_a_square_that_is_one_pixel_off_by_hand():
    label, prediction = np.zeros((2, 7, 7), np.uint8)
    label[2:5, 2:5] = 1
    prediction[2:5, 3:6] = 1
    counts = boundary_counts(label, prediction, 3, width=1)
    # Class 1: of each square all but its middle, 8 pixels; 4 of them are shared.
    # Class 0: all 40 pixels of the label, being at the image's edge or beside the square; of the prediction's
    # 40 not the 5 in rows 1 to 5 of column 1. Both say 0 on 37, of which those 5 are again not: 32 shared.
    assert counts.tolist() == [[32, 4, 0], [40 + 35 - 32, 8 + 8 - 4, 0]]
    assert boundary_iou(counts)[:2] == pytest.approx([32 / 43, 4 / 12])
    assert np.isnan(boundary_iou(counts)[2])


def plain_boundary(labels, width):
    """Pixel by pixel: another class, or the outside, within the square around it."""
    height, columns = labels.shape
    found = np.zeros(labels.shape, bool)
    for y in range(height):
        for x in range(columns):
            square = [(y + dy, x + dx) for dy in range(-width, width + 1) for dx in range(-width, width + 1)]
            for v, u in square:
                outside = not (0 <= v < height and 0 <= u < columns)
                found[y, x] |= outside or labels[v, u] not in (VOID, labels[y, x])
    return found


def random_maps(seed, classes=4):
    """A label with void and a prediction without, of blobs."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(3, 20, 2))
    coarse = rng.integers(0, classes, (2, 5, 5)).astype(np.uint8)
    label, prediction = (cv2.resize(x, shape[::-1], interpolation=cv2.INTER_NEAREST) for x in coarse)
    label[rng.random(shape) < rng.choice([0, 0.1, 0.5])] = VOID
    return label, prediction


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_counts_are_those_of_a_loop_over_pixels(seed, width):
    label, prediction = random_maps(seed)
    shown = np.where(label == VOID, VOID, prediction)
    of_label, of_prediction = plain_boundary(label, width), plain_boundary(shown, width)
    expected = []
    for k in range(4):
        one, other = of_label & (label == k), of_prediction & (shown == k)
        expected.append([(one & other).sum(), (one | other).sum()])
    assert boundary_counts(label, prediction, 4, width).T.tolist() == expected


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_without_void_it_is_the_erosion_of_each_class(seed, width):
    """The definition: what an erosion by d takes of each class, the outside counted as empty."""
    _, labels = random_maps(seed)
    found = boundary(labels, width)
    for k in range(4):
        mask = (labels == k).astype(np.uint8)
        padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        inside = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
        assert np.array_equal(found & (labels == k), (mask - inside).astype(bool))


def test_void_is_no_contour_but_does_not_hide_one():
    label = np.zeros((21, 21), np.uint8)
    label[:, 10] = VOID
    assert not boundary(label, 2)[2:-2, 2:-2].any()
    label[:, 11:] = 1
    # two pixels on: the other class is seen over one pixel of void, from the next pixel on either side
    assert np.flatnonzero(boundary(label, 2)[10]).tolist() == [0, 1, 9, 10, 11, 19, 20]


def test_the_highest_class_index():
    labels = np.full((9, 9), 253, np.uint8)
    labels[:, 5:] = 254
    assert np.flatnonzero(boundary(labels, 1)[4]).tolist() == [0, 4, 5, 8]


def test_the_width_is_a_share_of_the_diagonal():
    assert boundary_width((480, 640), 0.02) == 16
    assert boundary_width((60, 80), 0.002) == 1
