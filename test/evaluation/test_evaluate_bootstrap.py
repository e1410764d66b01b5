"""The paired bootstrap against a plain loop over the same resamples, and where the answer is known."""

import numpy as np
import pytest

from asymfusion_training.evaluation import bootstrap
from asymfusion_training.evaluation.bootstrap import mean_ious, paired_difference, resamples
from asymfusion_training.evaluation.counts import FrameCounts, SplitSum

CLASSES = 4


def random_frames(seed, frames=6, right=0.5):
    """Confusion matrices of frames that each have some of the classes."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(frames):
        counts = rng.integers(0, 50, (CLASSES, CLASSES)) + np.diag(rng.integers(0, int(400 * right), CLASSES))
        counts[rng.random(CLASSES) < 0.4] = 0
        counts[:, rng.random(CLASSES) < 0.3] = 0
        made.append(counts)
    made[0][0, 0] += 1
    return made


def split_sum(frames, mine=None):
    """Of the frames whose numbers are in ``mine``, or of all."""
    found = SplitSum(("ensemble",), len(frames), CLASSES)
    for number in range(len(frames)) if mine is None else mine:
        boundary = np.full((2, CLASSES), number, np.int64)
        found.add(number, {"ensemble": FrameCounts(frames[number], boundary)})
    return found


def split(frames):
    return split_sum(frames).scores()["ensemble"]


def plain_mean_iou(frames, draw):
    total = sum(times * counts for times, counts in zip(draw, frames))
    ious = []
    for k in range(CLASSES):
        union = total[k].sum() + total[:, k].sum() - total[k, k]
        if union:
            ious.append(total[k, k] / union)
    return sum(ious) / len(ious) if ious else float("nan")


@pytest.mark.parametrize("seed", range(5))
def test_mean_iou_of_each_resample(seed):
    frames = random_frames(seed)
    draws = resamples(len(frames), 30, np.random.default_rng(seed))
    assert (draws.sum(1) == len(frames)).all()
    expected = [plain_mean_iou(frames, draw) for draw in draws]
    assert mean_ious(draws, split(frames).margins) == pytest.approx(expected, nan_ok=True)


def test_the_interval_is_that_of_a_loop_over_the_same_resamples(monkeypatch):
    monkeypatch.setattr(bootstrap, "RESAMPLES", 150)
    monkeypatch.setattr(bootstrap, "AT_ONCE", 60)
    ours, theirs = random_frames(1), random_frames(2)
    found = paired_difference(("a", split(ours)), ("b", split(theirs)), seed=5)
    draws = resamples(6, 150, np.random.default_rng(5))
    differences = sorted(plain_mean_iou(ours, draw) - plain_mean_iou(theirs, draw) for draw in draws)
    assert len(set(differences)) > 100
    # linear between the neighbours, as numpy's: the values at 2.5 and 97.5 % of the 149 steps
    low = 0.275 * differences[3] + 0.725 * differences[4]
    high = 0.725 * differences[145] + 0.275 * differences[146]
    assert (found.low, found.high) == pytest.approx((low, high))
    every = [1] * 6
    assert found.value == pytest.approx(plain_mean_iou(ours, every) - plain_mean_iou(theirs, every))


def test_the_same_counts_settle_nothing():
    frames = random_frames(3)
    found = paired_difference(("a", split(frames)), ("b", split(frames)), seed=0)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    assert found.result() == "not significant: 0 lies inside the interval"


def test_a_difference_on_every_frame_is_significant_either_way():
    good = [np.diag([90, 80, 70, 60]) + 1 for _ in range(8)]
    bad = [np.diag([40, 30, 20, 10]) + 9 for _ in range(8)]
    found = paired_difference(("good", split(good)), ("bad", split(bad)), seed=0)
    assert found.low > 0.3
    assert found.result() == "significant: good is better"
    found = paired_difference(("bad", split(bad)), ("good", split(good)), seed=0)
    assert found.high < -0.3
    assert found.result() == "significant: good is better"


def test_a_frame_against_a_frame_is_not_significant():
    """Two frames, one better on each: resamples of both kinds occur."""
    good, bad = np.diag([50] * CLASSES), np.diag([50] * CLASSES) + 10
    found = paired_difference(("a", split([good, bad])), ("b", split([bad, good])), seed=0)
    assert found.value == 0
    assert found.low == pytest.approx(-found.high)
    assert not found.significant


def test_the_seed_decides_the_resamples():
    one, other = split(random_frames(1)), split(random_frames(2))
    first = paired_difference(("a", one), ("b", other), seed=0)
    assert paired_difference(("a", one), ("b", other), seed=0) == first
    assert paired_difference(("a", one), ("b", other), seed=1).low != first.low


def test_what_processes_counted_adds_up_in_the_order_of_the_frames():
    frames = random_frames(4, frames=7)
    parts = [split_sum(frames, range(rank, 7, 3)) for rank in range(3)]
    parts[0].table = sum(part.table for part in parts)
    whole, single = parts[0].scores()["ensemble"], split(frames)
    assert whole.scores() == single.scores()
    assert np.array_equal(whole.margins, single.margins)
    assert np.array_equal(whole.margins[2][1], frames[2].sum(1))
    assert np.array_equal(whole.boundary, np.full((2, CLASSES), sum(range(7))))
    assert whole.confusion.counts.tolist() == sum(frames).tolist()
