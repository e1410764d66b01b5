"""Rolling windows, quantiles, rates, gaps of stamps and the limit on latency, worked out by hand."""

import pytest

from asymfusion_ros.stream.latency_limit import LatencyLimit
from asymfusion_ros.stream.rates import Rates
from asymfusion_ros.stream.stamps import StampMeter
from asymfusion_ros.stream.status import Level
from asymfusion_ros.stream.timing import LARGEST, Timings, Window, quantile

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7.0], 0.95, 7.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.5),  # half way between 2 and 3
        ([0.0, 10.0, 20.0, 30.0, 40.0], 0.95, 38.0),  # place 3.8: 30 + 0.8 x 10
        ([5.0, 1.0], 0.0, 1.0),
        ([5.0, 1.0], 1.0, 5.0),
    ],
)
def test_quantiles_lie_between_neighbours(values, share, expected):
    assert quantile(values, share) == pytest.approx(expected)


def test_a_window_forgets_what_is_as_old_as_it_is_long():
    window = Window(10.0)
    for second in range(5):
        window.add(float(second), second)
    assert window.values(11.0) == [2, 3, 4]
    assert window.values(100.0) == []


def test_a_window_holds_no_more_than_its_largest_number():
    window = Window(10.0)
    for i in range(LARGEST + 5):
        window.add(1.0, i)
    assert window.values(1.0) == list(range(5, LARGEST + 5))


def test_stages_are_timed_apart_and_those_that_stopped_coming_are_gone():
    now = [0.0]
    timings = Timings(10.0, lambda: now[0])
    timings.add({"upload": 0.001, "network": 0.040})
    now[0] = 8.0
    timings.add({"network": 0.060})
    assert timings.quantiles(0.5) == {"upload": (0.001,), "network": (pytest.approx(0.05),)}
    now[0] = 12.0
    assert timings.quantiles(0.5, 0.95) == {"network": (0.06, 0.06)}


def test_rates_are_the_growth_of_counts_over_the_last_seconds():
    rates = Rates(5.0)
    assert rates.per_second("masks") is None
    for second in range(8):  # 10 a second until second 3, then 20 a second
        rates.look(float(second), {"masks": 10 * min(second, 3) + 20 * max(0, second - 3)})
    # From second 2 (20 masks) to second 7 (110).
    assert (rates.span, rates.growth("masks"), rates.per_second("masks")) == (5.0, 90, 18.0)
    assert rates.per_second("other") == 0.0


def test_a_count_that_is_new_grows_from_zero():
    rates = Rates(5.0)
    rates.look(0.0, {"unpaired": 3})
    rates.look(2.0, {"published_mask": 6, "unpaired": 1})
    assert rates.per_second("published_mask") == 3.0
    assert rates.growth("unpaired") == -2  # one that goes back leaves the others alone


def stamped(meter, name, count, period, first=SECOND, lag=0.0):
    for i in range(count):
        stamp = first + i * period
        meter.arrived(name, stamp / 1e9 + lag, stamp)


def test_gaps_are_the_spread_of_a_frames_stamps():
    meter = StampMeter(("rgb", "depth", "thermal"), 10.0)
    meter.paired(1.0, [SECOND, SECOND + 4 * MILLISECOND, SECOND - 2 * MILLISECOND])
    meter.paired(2.0, [SECOND])
    assert meter.gaps(2.0) == [pytest.approx(0.006)]
    assert meter.gaps(11.0) == []


def test_a_clock_that_is_ahead_shows_as_its_offset():
    meter = StampMeter(("rgb", "depth"), 10.0)
    stamped(meter, "rgb", 30, 33 * MILLISECOND, lag=0.010)
    # Depth's clock is 550 ms ahead: what arrives at the same time bears later stamps.
    stamped(meter, "depth", 30, 33 * MILLISECOND, first=SECOND + 550 * MILLISECOND, lag=0.010 - 0.550)
    assert meter.offsets() == {"depth": pytest.approx(0.550)}


def test_nothing_is_said_about_a_few_images():
    meter = StampMeter(("rgb", "depth"), 10.0)
    stamped(meter, "rgb", 30, 33 * MILLISECOND)
    stamped(meter, "depth", 7, 33 * MILLISECOND)
    assert meter.offsets() == {} and meter.slop_needed() is None


def test_the_slop_to_set_is_the_distance_to_the_nearest_stamp_and_some_room():
    meter = StampMeter(("rgb", "depth"), 10.0)
    stamped(meter, "rgb", 40, 33 * MILLISECOND)
    stamped(meter, "depth", 40, 33 * MILLISECOND, first=SECOND + 10 * MILLISECOND)
    assert meter.slop_needed() == pytest.approx(0.012)  # 10 ms x 1.2


def test_equal_stamps_need_the_smallest_slop():
    meter = StampMeter(("rgb", "depth"), 10.0)
    for name in ("rgb", "depth"):
        stamped(meter, name, 20, 33 * MILLISECOND, lag=0.5 if name == "depth" else 0.0)
    assert meter.slop_needed() == pytest.approx(0.001)


def test_a_slower_stream_is_compared_at_its_own_images():
    meter = StampMeter(("rgb", "depth"), 10.0)
    stamped(meter, "rgb", 60, 20 * MILLISECOND)
    stamped(meter, "depth", 12, 100 * MILLISECOND, first=SECOND + 5 * MILLISECOND)
    assert meter.slop_needed() == pytest.approx(0.006)  # 5 ms x 1.2: its nearest rgb is always 5 ms before


def test_streams_without_a_time_in_common_have_no_slop():
    meter = StampMeter(("rgb", "depth"), 10.0)
    stamped(meter, "rgb", 30, 33 * MILLISECOND)
    stamped(meter, "depth", 30, 33 * MILLISECOND, first=3600 * SECOND)
    assert meter.slop_needed() is None


def test_a_stream_that_goes_back_in_time_begins_anew():
    meter = StampMeter(("rgb", "depth"), 10.0)
    stamped(meter, "rgb", 30, 33 * MILLISECOND, first=100 * SECOND, lag=-99.0)
    stamped(meter, "rgb", 8, 33 * MILLISECOND)
    stamped(meter, "depth", 8, 33 * MILLISECOND, lag=0.002)
    assert meter.offsets() == {"depth": pytest.approx(-0.002)}


def test_a_late_frame_is_a_warning_and_many_in_a_row_an_error():
    limit = LatencyLimit(100.0, consecutive=3)
    assert limit.look() == Level.OK
    for milliseconds in (50.0, 101.0, 60.0):
        limit.add(milliseconds)
    assert limit.look() == Level.WARN
    assert limit.look() == Level.OK  # nothing new
    for milliseconds in (200.0, 200.0):
        limit.add(milliseconds)
    assert limit.look() == Level.WARN
    limit.add(200.0)
    assert (limit.look(), limit.in_a_row) == (Level.ERROR, 3)
    limit.add(100.0)  # at the limit is within it
    assert (limit.look(), limit.in_a_row) == (Level.OK, 0)


def test_without_a_limit_nothing_is_late():
    limit = LatencyLimit(0.0, consecutive=1)
    limit.add(1e6)
    assert limit.look() == Level.OK
