"""What outcomes say about an ordering: differences, intervals and verdicts worked out by hand."""

import csv
import io

import numpy as np
import pytest

from asymfusion_training.ablation.compare import Bootstrap, agreement, orderings, spread
from asymfusion_training.ablation.outcome import Outcome
from asymfusion_training.ablation.report import Report, agreement_line, as_csv, as_markdown, orderings_csv
from asymfusion_training.ablation.tables import Claim, Printed, Row, Table
from asymfusion_training.ablation.variant import Variant

FRAMES = 20


def outcome(hits):
    """Two classes of 100 pixels a frame; ``hits`` of each are right in each frame, the others taken for the
    other class. IoU of either class: hits / (200 - hits)."""
    frames = [[[h, h], [100, 100], [100, 100]] for h in np.broadcast_to(hits, FRAMES)]
    total = float(np.sum(np.broadcast_to(hits, FRAMES)))
    iou = total / (200 * FRAMES - total)
    scores = {
        "pixel_accuracy": total / (100 * FRAMES),
        "mean_accuracy": total / (100 * FRAMES),
        "mean_iou": iou,
    }
    halved = {name: score / 2 for name, score in scores.items()}
    return Outcome(
        {},
        {"rgb": halved, "ensemble": scores},
        3_280_000,
        2.0,
        "CPU",
        {"ensemble": np.array(frames, np.int64)},
    )


def table(**printed):
    rows = {key: Row(key, Variant(), Printed(mean_iou=iou, parameters=1.5)) for key, iou in printed.items()}
    return Table("table9", "made", "nowhere", rows, (Claim("a", "b", "a is better than b"),))


def found(one, other):
    outcomes = {"a": dict(enumerate(map(outcome, one))), "b": dict(enumerate(map(outcome, other)))}
    made = table(a=50.0, b=48.0)
    (ordering,) = orderings(made, outcomes, Bootstrap(outcomes))
    return ordering


def test_the_difference_is_the_mean_over_seeds():
    # IoU 80 / 120, 50 / 150 and 60 / 140, in points.
    ordering = found([80, 50], [60, 50])
    expected = 100 * (80 / 120 - 60 / 140)
    assert ordering.by_seed == pytest.approx((expected, 0.0))
    assert ordering.difference == pytest.approx(expected / 2)
    assert ordering.printed == pytest.approx(2.0)


def test_the_interval_of_frames_that_are_all_alike_is_the_difference():
    ordering = found([80], [60])
    assert ordering.low == pytest.approx(ordering.difference)
    assert ordering.high == pytest.approx(ordering.difference)


def test_frames_are_drawn_for_both_rows_together():
    """Hard and easy frames: an unpaired interval would be wide, the paired one is not."""
    hard_and_easy = np.tile([20, 90], FRAMES // 2)
    ordering = found([hard_and_easy + 1], [hard_and_easy])
    assert 0 < ordering.low < ordering.difference < ordering.high < 3 * ordering.difference
    assert ordering.result == "holds"


def test_the_interval_covers_what_a_slow_bootstrap_covers():
    rng = np.random.default_rng(5)
    ours, theirs = rng.integers(40, 90, FRAMES), rng.integers(40, 90, FRAMES)
    ordering = found([ours], [theirs])
    drawn = []
    for _ in range(4000):
        pick = rng.integers(0, FRAMES, FRAMES)
        a, b = ours[pick].sum(), theirs[pick].sum()
        drawn.append(100 * (a / (200 * FRAMES - a) - b / (200 * FRAMES - b)))
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert ordering.low == pytest.approx(low, abs=0.5)
    assert ordering.high == pytest.approx(high, abs=0.5)


@pytest.mark.parametrize(
    ("one", "other", "verdict"),
    [
        ([80, 81], [60, 60], "holds"),
        ([60, 60], [80, 81], "reversed"),
        ([80, 59], [60, 60], "not significant"),  # the mean is ahead, but one seed is not
        ([60, 60], [60, 60], "not significant"),
        ([np.tile([10, 90], FRAMES // 2)], [np.tile([90, 10], FRAMES // 2)], "not significant"),
    ],
)
def test_verdicts(one, other, verdict):
    assert found(one, other).result == verdict


def test_an_ordering_of_a_single_seed_says_so():
    assert found([80], [60]).qualified == "holds (one seed)"
    assert found([80, 80], [60, 60]).qualified == "holds"
    assert found([60], [60]).qualified == "not significant"


def test_seeds_are_paired_and_what_is_not_done_is_left_out():
    outcomes = {"a": {0: outcome(80), 1: outcome(70)}, "b": {1: outcome(60), 2: outcome(10)}, "c": {}}
    made = table(a=50.0, b=48.0, c=47.0)
    bootstrap = Bootstrap(outcomes)
    (ordering,) = orderings(made, outcomes, bootstrap)
    assert ordering.by_seed == pytest.approx((100 * (70 / 130 - 60 / 140),))
    assert bootstrap.difference("a", "c") is None


def test_agreement_over_all_pairs():
    """The paper: a > b > c, d beside b. Here: b > a > c, and d as good as nothing."""
    outcomes = {key: {0: outcome(hits)} for key, hits in {"a": 70, "b": 80, "c": 60, "d": 10}.items()}
    made = table(a=50.0, b=48.0, c=47.0, d=48.0)
    counted = agreement(made, outcomes, Bootstrap(outcomes))
    # ordered by the paper: ab, ac, ad, bc, dc. The same here: ac, ad, bc; reversed: ab, dc.
    assert (counted.pairs, counted.same, counted.same_significant, counted.reversed_significant) == (
        5,
        3,
        3,
        2,
    )
    assert "Of the 5 pairs" in agreement_line(counted) and "3 come in the same order" in agreement_line(
        counted
    )


def test_spread_is_the_sample_deviation():
    assert spread([1.0, 3.0]) == pytest.approx(2**0.5)
    assert spread([1.0]) is None


def test_the_report_shows_means_spreads_and_the_papers_numbers():
    outcomes = {"a": {0: outcome(80), 1: outcome(60)}, "b": {0: outcome(50)}, "c": {}}
    made = table(a=50.0, b=48.0, c=None)
    bootstrap = Bootstrap(outcomes)
    report = Report(
        made,
        outcomes,
        orderings(made, outcomes, bootstrap),
        agreement(made, outcomes, bootstrap),
        ["one condition"],
    )
    text = as_markdown(report)
    assert "- one condition" in text
    ious = 100 * 80 / 120, 100 * 60 / 140
    deviation = abs(ious[0] - ious[1]) / 2**0.5
    (row,) = [line for line in text.splitlines() if line.startswith("| a |")]
    assert f"| {sum(ious) / 2:.2f} ± {deviation:.2f} | 3.28 |" in row
    # the modality is made to score half of the ensemble
    assert row.endswith(f"| - | - | 50 | 1.5 | {sum(ious) / 4:.2f} ± {deviation / 2:.2f} |")
    (row,) = [line for line in text.splitlines() if line.startswith("| c |")]
    assert row.startswith("| c | - | - | - | - |")
    lines = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert [line["row"] for line in lines] == ["a", "b", "c"]
    assert lines[0]["seeds"] == "0 1" and float(lines[0]["mean_iou"]) == pytest.approx(
        sum(ious) / 2, abs=1e-3
    )
    assert float(lines[0]["mean_iou_spread"]) == pytest.approx(deviation, abs=1e-3)
    assert float(lines[0]["rgb_mean_iou"]) == pytest.approx(sum(ious) / 4, abs=1e-3)
    assert lines[1]["mean_iou_spread"] == "" and lines[2]["mean_iou"] == ""
    assert lines[0]["parameters"] == "3280000" and lines[0]["paper_mean_iou"] == "50.0"
    (ordering,) = csv.DictReader(io.StringIO(orderings_csv(report)))
    assert ordering["result"] == "holds" and ordering["paper_difference"] == "2.0"
