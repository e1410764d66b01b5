"""The demo's numbers, worked out by hand."""

import pytest

from asymfusion_ros.demo.summary import Statistics

MS = 1_000_000


def statistics() -> Statistics:
    """Four frames 100 ms apart; the second gets no mask; the others' masks take 50, 70 and 60 ms."""
    sent = {stamp * 100 * MS: stamp * 100 * MS for stamp in range(4)}
    masks = {0: 50 * MS, 200 * MS: 270 * MS, 300 * MS: 360 * MS}
    return Statistics(rgb_sent=dict(sent), depth_sent=dict(sent), masks=masks)


def test_latency_and_rate():
    summary = statistics().summary({"paired": 4, "dropped": 1})
    assert (summary.rgb_sent, summary.masks, summary.paired, summary.dropped) == (4, 3, 4, 1)
    assert summary.latency_median_ms == 60
    # Between the 2nd and 3rd of 50, 60, 70 ms: 60 + 0.9 x 10
    assert summary.latency_p95_ms == pytest.approx(69)
    # Two intervals in 310 ms
    assert summary.masks_per_second == pytest.approx(2 / 0.310)


def test_one_mask_has_no_rate():
    one = Statistics(rgb_sent={0: 0}, depth_sent={0: 0}, masks={0: 8 * MS})
    assert one.summary({}).masks_per_second is None
    assert any("masks per second" in line and line.endswith("-") for line in one.summary({}).lines())


def test_dropped_pairs_are_explained():
    text = "\n".join(statistics().summary({"paired": 4, "dropped": 1}).lines())
    assert "median 60 ms, p95 69 ms" in text
    assert "1 pair dropped for a newer one" in text


def test_closest_stamps():
    assert (
        Statistics(rgb_sent={0: 0, 900 * MS: 0}, depth_sent={102 * MS: 0, 500 * MS: 0}).closest_stamps()
        == 0.102
    )
    assert Statistics(rgb_sent={0: 0}).closest_stamps() is None
