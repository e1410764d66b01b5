"""max_rate: how many frames of a camera are used."""

import pytest

from asymfusion_ros.stream.rate import RateLimit


def admitted(limit, times, rate):
    return [time for time in times if limit.admits(time, rate)]


@pytest.mark.parametrize(
    "camera, rate, count",
    [(30, 0, 300), (30, 30.5, 300), (30, 20, 200), (30, 10, 100), (30, 7, 70), (30, 1, 10), (30, 0.5, 5)],
)
def test_ten_seconds_of_a_camera_are_thinned_to_the_rate(camera, rate, count):
    frames = [100 + i / camera for i in range(10 * camera)]
    used = admitted(RateLimit(), frames, rate)
    assert abs(len(used) - count) <= 1
    if rate:
        assert all(sum(t <= u < t + 1 for u in used) <= rate + 1 for t in used)


def test_nothing_is_made_up_for_after_a_pause():
    limit = RateLimit()
    assert admitted(limit, [0.0, 0.01], 1) == [0.0]
    assert admitted(limit, [60 + i / 30 for i in range(30)], 1) == [60.0]


def test_a_higher_rate_counts_at_once():
    limit = RateLimit()
    assert admitted(limit, [1000.0], 0.01) == [1000.0]
    assert not limit.admits(1001.0, 0.01)
    assert limit.admits(1001.1, 10)
