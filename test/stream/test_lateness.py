"""Images that come after their partners: noticed, told from clocks that differ, and waited for."""

import pytest

from asymfusion_ros.stream.health import TopicHealth
from asymfusion_ros.stream.lateness import MOST_IMAGES, Lateness

MS = 1_000_000
PERIOD = 33 * MS
SLOP = 15 * MS
SIZE = 640 * 480 * 3


class Cameras:
    """RGB at once and depth ``late`` images later, its stamps off by ``offset`` ns."""

    def __init__(self, late, offset=0, queue_size=10):
        self.topics = {name: TopicHealth(0.0) for name in ("rgb", "depth")}
        self.lateness = Lateness(self.topics, SLOP, queue_size)
        self.late, self.offset, self.grown = late, offset, []

    def run(self, images, size=SIZE):
        for k in range(1, images + 1):
            now = k * PERIOD / 1e9
            self.arrive("rgb", now, k * PERIOD, size)
            if k > self.late:
                self.arrive("depth", now, (k - self.late) * PERIOD + self.offset, size)
        return now

    def arrive(self, name, now, stamp, size):
        self.topics[name].arrived(now, stamp)
        if self.lateness.arrived(name, now, stamp, size):
            self.grown.append(self.lateness.queue_size)


def test_late_images_of_equal_stamps_lengthen_the_queue_by_what_they_need():
    cameras = Cameras(late=15)
    now = cameras.run(40)
    # The partner has the 16th newest stamp; a fifth more, for it is not late by the same every time.
    assert cameras.grown == [19]
    late = cameras.lateness.report(now)
    assert late is not None and late.equal
    assert (late.name, late.partner, late.place) == ("depth", "rgb", 16)
    assert late.seconds == pytest.approx(15 * 0.033)
    assert cameras.lateness.report(now + 6.0) is None


@pytest.mark.parametrize("late", [0, 9])
def test_what_the_queue_holds_is_not_late(late):
    cameras = Cameras(late)
    assert cameras.lateness.report(cameras.run(60)) is None
    assert cameras.grown == []


def test_stamps_that_are_only_near_may_be_another_clock_and_lengthen_nothing():
    cameras = Cameras(late=15, offset=5 * MS)
    late = cameras.lateness.report(cameras.run(60))
    assert late is not None and not late.equal
    assert cameras.lateness.queue_size == 10


def test_the_queue_is_bounded_in_images_and_in_bytes():
    cameras = Cameras(late=150)
    assert cameras.lateness.report(cameras.run(200)) is not None
    assert (cameras.lateness.queue_size, cameras.lateness.bound) == (10, MOST_IMAGES)
    large = Cameras(late=15)
    assert large.lateness.report(large.run(60, size=3840 * 2160 * 3)) is not None
    assert (large.lateness.queue_size, large.lateness.bound) == (10, 10)  # 268,435,456 // 24,883,200


def test_a_hiccup_of_two_images_is_not_reported():
    cameras = Cameras(late=15)
    cameras.run(17)
    assert cameras.lateness.report(17 * 0.033) is None
