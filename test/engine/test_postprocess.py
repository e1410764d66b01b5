"""Labels and confidence from logits."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from asymfusion_ros.engine.postprocess import confidence_at, labels_at, labels_everywhere


def assert_same_but_ties(logits, size):
    """The fast labels are those of plain upsampling wherever its two best logits differ by more than
    rounding, and nowhere a class whose logit is less than the best by more."""
    fast, plain = labels_at(logits, size), labels_everywhere(logits, size)
    assert fast.shape == size
    assert fast.dtype == torch.uint8
    full = F.interpolate(logits[None].double(), size, mode="bilinear", align_corners=False)[0]
    rounding = 1e-6 * float(full.abs().max())
    ahead, behind = full.topk(2, dim=0).values if len(full) > 1 else (full[0], full[0] - 1)
    assert (fast == plain)[ahead - behind > 4 * rounding].all()
    assert (full.gather(0, fast[None].long())[0] >= ahead - 4 * rounding).all()


@settings(max_examples=60, deadline=None)
@given(
    classes=st.integers(1, 40),
    rows=st.integers(1, 12),
    columns=st.integers(1, 12),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    coarse=st.integers(1, 6),
    seed=st.integers(0, 99),
)
@example(
    classes=3, rows=60, columns=80, height=480, width=640, coarse=1, seed=0
)  # nearly all pixels mixed, in several parts
@example(classes=255, rows=2, columns=40, height=3, width=1100, coarse=1, seed=0)
@example(classes=40, rows=30, columns=40, height=240, width=320, coarse=5, seed=0)  # as a network's are
@example(classes=40, rows=1, columns=1, height=5, width=7, coarse=1, seed=0)
@example(classes=40, rows=4000, columns=1, height=4001, width=2, coarse=1, seed=0)
@example(classes=2, rows=5, columns=6, height=5, width=60, coarse=1, seed=0)
def test_labels_are_the_winners_of_bilinear_upsampling(classes, rows, columns, height, width, coarse, seed):
    """``coarse``: the logits change slowly, over so many grid points."""
    given = (classes, rows // coarse + 1, columns // coarse + 1)
    logits = torch.randn(given, generator=torch.Generator().manual_seed(seed))
    logits = F.interpolate(logits[None], (rows, columns), mode="bilinear")[0]
    assert_same_but_ties(logits, (height, width))


def test_equal_logits_give_the_lower_class():
    assert (labels_at(torch.zeros(5, 3, 4), (24, 32)) == 0).all()
    twice = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1)
    assert (labels_at(twice, (25, 31)) == 0).all()


def test_labels_of_logits_in_any_layout():
    logits = torch.randn(1, 6, 5, 7, generator=torch.Generator().manual_seed(0))
    expected = labels_at(logits[0], (40, 56))
    assert (labels_at(logits.to(memory_format=torch.channels_last)[0], (40, 56)) == expected).all()
    assert (labels_at(logits.expand(3, -1, -1, -1)[1], (40, 56)) == expected).all()


def test_smooth_logits():
    y, x = torch.meshgrid(torch.linspace(0, 3, 30), torch.linspace(0, 4, 40), indexing="ij")
    logits = torch.stack([torch.sin(2 * x + k) + torch.cos(3 * y - k) for k in range(6)])
    assert_same_but_ties(logits, (240, 320))
    assert_same_but_ties(logits, (7, 11))  # smaller than the logits


def test_where_one_class_is_everywhere_the_best_nothing_else_is_computed():
    logits = torch.zeros(3, 4, 5)
    logits[1] = 1
    assert (labels_at(logits, (40, 50)) == 1).all()


def test_a_class_that_is_second_at_every_grid_point_can_win_between_them():
    # halfway between the two points the classes have (2, 2, 2.6)
    logits = torch.tensor([[[4.0, 0.0]], [[0.0, 4.0]], [[2.6, 2.6]]])
    assert labels_at(logits, (1, 8)).tolist() == [[0, 0, 0, 2, 2, 1, 1, 1]]


def test_labels_by_hand():
    # one row of two cells, (4, 0) and (0, 4); of four pixels the first two lie nearer to the first cell
    logits = torch.tensor([[[4.0, 0.0]], [[0.0, 4.0]]])
    assert labels_at(logits, (1, 4)).tolist() == [[0, 0, 1, 1]]
    # from (1, 0) to (0, 4) the winner turns after a fifth of the way: pixels at 0, 1/4, 3/4, 1
    logits = torch.tensor([[[1.0, 0.0]], [[0.0, 4.0]]])
    assert labels_at(logits, (2, 4)).tolist() == [[0, 1, 1, 1]] * 2


def test_half_precision_logits():
    logits = torch.randn(5, 6, 8, generator=torch.Generator().manual_seed(1))
    for dtype in (torch.float16, torch.bfloat16):
        assert_same_but_ties(logits.to(dtype), (24, 32))
        assert confidence_at(logits.to(dtype), (24, 32)).dtype == torch.uint8


@pytest.mark.parametrize(
    ("logits", "probability"),
    [
        ((0.0, 0.0), 1 / 2),
        ((0.0, 0.0, 0.0, 0.0), 1 / 4),
        ((math.log(3.0), 0.0), 3 / 4),
        ((100.0, -100.0), 1.0),
        ((1000.0, 0.0, 990.0), 1.0),
    ],
)
def test_confidence_of_constant_logits(logits, probability):
    constant = torch.tensor(logits).view(-1, 1, 1).expand(-1, 3, 5)
    confidence = confidence_at(constant, (7, 9))
    assert confidence.shape == (7, 9)
    assert confidence.dtype == torch.uint8
    assert confidence.unique().tolist() == [round(255 * probability)]


def test_confidence_falls_between_classes():
    logits = torch.tensor([[[9.0, 0.0, -9.0]], [[-9.0, 0.0, 9.0]]])
    confidence = confidence_at(logits, (1, 3))
    assert confidence.tolist() == [[255, 128, 255]]
