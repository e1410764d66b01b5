"""Who is silent, who jumped, who doesn't pair; and how often a line is logged."""

from asymfusion_ros.stream.health import StreamHealth, TopicHealth
from asymfusion_ros.stream.throttle import MOST_KEYS, Throttle

MS = 1_000_000
SECOND = 1000 * MS


def health_of(*modalities, missing_after=0.0):
    return StreamHealth(
        modalities, silent_after=3.0, unpaired_after=1.0, missing_after=missing_after, now=0.0
    )


def test_silence_is_counted_from_the_start_and_from_the_last_message():
    topic = TopicHealth(started=100.0)
    assert topic.silence(101.0) == 1.0
    topic.arrived(102.0, 5 * SECOND)
    assert topic.silence(106.0) == 4.0


def test_only_a_step_back_beyond_disorder_is_a_jump():
    topic = TopicHealth(started=0.0)
    assert not topic.arrived(1.0, 5 * SECOND)
    assert not topic.arrived(1.1, 5 * SECOND - 100 * MS)
    assert topic.arrived(1.2, 5 * SECOND - 101 * MS)
    assert not topic.arrived(1.3, 5 * SECOND - 80 * MS)


def test_slow_drift_backwards_in_small_steps_is_noticed():
    """Each step is small, but the newest stamp seen is what counts."""
    topic = TopicHealth(started=0.0)
    jumps = [topic.arrived(0.1 * k, SECOND - k * 60 * MS) for k in range(3)]
    assert jumps == [0, 0, -120 * MS]


def test_silent_topics_are_named_and_refused_images_are_not_silence():
    health = health_of("rgb", "depth")
    assert health.silent(2.9) == []
    health.arrived("rgb", 2.9, SECOND)
    assert health.silent(3.0) == ["depth"]
    health.refused("depth", 3.1)
    assert health.silent(3.2) == []
    assert health.silent(6.0) == ["rgb"]


def test_stamps_that_advance_by_more_than_time_does_jumped_ahead():
    topic = TopicHealth(started=0.0)
    assert topic.arrived(1.0, 5 * SECOND) == 0
    assert topic.arrived(61.0, 65 * SECOND) == 0  # a camera that paused for a minute
    assert topic.arrived(61.1, 71 * SECOND) == 6 * SECOND
    assert topic.last_jump == (61.1, 6 * SECOND)


def stream(health, name, start, end, period, offset=0):
    """Images of a modality every ``period`` seconds, stamped with their time plus ``offset`` ns."""
    for k in range(int((end - start) / period + 1e-6)):
        now = start + k * period
        health.arrived(name, now, round(now * 1e9) + offset)


def test_a_modality_is_missing_once_an_image_has_waited_for_it_in_vain():
    health = health_of("rgb", "depth", missing_after=2.0)
    assert health.available(100.0) == ("rgb", "depth")  # nothing came: nothing is missing
    health.arrived("rgb", 100.5, SECOND)
    health.refused("depth", 102.0)
    assert health.available(102.4) == ("rgb", "depth")
    assert health.available(102.5) == ("rgb",)
    health.arrived("rgb", 102.6, 3 * SECOND)
    health.arrived("depth", 102.6, SECOND)
    assert health.available(102.6) == ("rgb",)
    health.paired(102.6)
    assert health.available(102.6) == ("rgb", "depth")
    never = health_of("rgb", "depth", missing_after=0.0)
    never.arrived("rgb", 1.0, SECOND)
    assert never.available(1000.0) == ("rgb", "depth")


def test_another_missing_after_begins_as_if_nothing_had_been_missing():
    health = health_of("rgb", "depth", missing_after=0.5)
    stream(health, "rgb", 0.0, 1.0, 0.1)
    assert health.available(1.0) == ("rgb",)
    health.change(missing_after=0.0, slop=0.01)
    stream(health, "rgb", 1.0, 3.0, 0.1)
    assert health.available(3.0) == ("rgb", "depth")


def test_streams_whose_clocks_differ_go_on_with_the_first_though_both_come():
    health = health_of("rgb", "depth", missing_after=0.5)
    for k in range(40):
        now = 1.0 + k / 30
        health.arrived("rgb", now, round(now * 1e9))
        health.arrived("depth", now, round(now * 1e9) + 550 * MS)
        assert health.available(now) == (("rgb", "depth") if now < 1.5 else ("rgb",))


def test_images_slower_than_missing_after_pair_and_are_reported_as_slow():
    """At 1 Hz each image is older than 0.5 s when the next comes: it is not missing for that."""
    health = health_of("rgb", "depth", missing_after=0.5)
    assert health.slow() == {}
    for now in range(1, 7):
        health.arrived("rgb", now, now * SECOND)
        assert health.available(now) == ("rgb", "depth")
        health.arrived("depth", now + 0.02, now * SECOND)
        health.paired(now + 0.02)
        assert health.available(now + 0.7) == ("rgb", "depth")
    assert health.slow() == {"rgb": 1.0, "depth": 1.0}


def test_when_the_one_that_was_left_goes_and_the_other_comes_back_that_is_taken():
    health = health_of("rgb", "depth", missing_after=0.5)
    stream(health, "rgb", 0.0, 1.0, 1 / 30)
    assert health.available(1.0) == ("rgb",)
    stream(health, "depth", 1.0, 2.0, 1 / 30)
    assert health.available(2.0) == ("depth",)


def test_of_three_the_two_that_come_and_pair_are_available():
    health = health_of("rgb", "depth", "thermal", missing_after=1.0)
    for name in ("rgb", "thermal"):
        stream(health, name, 1.5, 2.5, 0.1)
    assert health.available(2.4) == ("rgb", "depth", "thermal")
    assert health.available(2.5) == ("rgb", "thermal")
    # One whose clock is an hour ahead is no partner.
    stream(health, "depth", 2.5, 3.0, 0.1, offset=3600 * SECOND)
    for name in ("rgb", "thermal"):
        stream(health, name, 2.5, 3.0, 0.1)
    assert health.available(3.0) == ("rgb", "thermal")


def test_of_three_the_two_that_come_and_do_not_pair_are_reported():
    health = health_of("rgb", "depth", "thermal", missing_after=1.0)
    health.arrived("rgb", 1.5, SECOND)
    health.arrived("depth", 1.6, SECOND + 400 * MS)
    assert health.unpaired_offset(1.6) == 400 * MS
    health.arrived("thermal", 1.7, 5 * SECOND)
    assert health.unpaired_offset(1.7) == 4 * SECOND


def test_streams_that_never_pair_are_reported_with_their_offset():
    health = health_of("rgb", "depth")
    health.arrived("rgb", 0.1, SECOND)
    health.arrived("depth", 0.2, SECOND + 400 * MS)
    assert health.unpaired_offset(0.9) is None
    assert health.unpaired_offset(1.0) == 400 * MS
    # One image each is enough, but old news isn't worth repeating.
    assert health.unpaired_offset(3.0) == 400 * MS
    assert health.unpaired_offset(3.1) is None


def test_a_pair_ends_the_complaint_until_both_bring_something_new():
    health = health_of("rgb", "depth")
    health.arrived("rgb", 1.9, SECOND)
    health.arrived("depth", 2.0, SECOND)
    health.paired(2.0)
    health.arrived("rgb", 4.0, 3 * SECOND)  # a pause ends, and depth comes a moment later
    assert health.unpaired_offset(4.0) is None
    health.arrived("depth", 4.1, 3 * SECOND + 50 * MS)
    assert health.unpaired_offset(4.2) == 50 * MS


def test_a_line_is_logged_once_a_period_for_each_key_and_counts_what_it_held_back():
    now = [0.0]
    throttle = Throttle(5.0, 60.0, lambda: now[0])
    assert throttle.admit("rgb") == 0
    assert throttle.admit("depth") == 0
    now[0] = 4.9
    assert throttle.admit("rgb") is None
    assert throttle.admit("rgb") is None
    now[0] = 5.0
    assert throttle.admit("rgb") == 2
    assert throttle.admit("rgb") is None
    now[0] = 10.0
    assert throttle.admit("rgb") == 1
    assert throttle.admit("depth") == 0


def test_a_fault_that_lasts_is_logged_ever_more_rarely_and_starts_over_after_its_end():
    now = [0.0]
    throttle = Throttle(5.0, 60.0, lambda: now[0])

    def logged(start, end):
        """When the line is logged, coming every half second from ``start`` to ``end`` inclusive."""
        times = []
        while start <= end:
            now[0] = start
            if throttle.admit("silent") is not None:
                times.append(start)
            start += 0.5
        return times

    assert logged(0.0, 255.0) == [0, 5, 15, 35, 75, 135, 195, 255]
    assert logged(257.0, 258.0) == []  # away for less than a period
    assert logged(263.0, 275.0) == [263, 268]


def test_once_is_once_until_forgotten():
    throttle = Throttle(5.0, 60.0, lambda: 1e9)
    assert [throttle.first("a"), throttle.first("a"), throttle.first("b")] == [True, False, True]
    throttle.forget()
    assert throttle.first("a")


def test_what_is_kept_of_lines_is_bounded():
    now = [0.0]
    throttle = Throttle(5.0, 60.0, lambda: now[0])
    first = sum(throttle.first(number) for number in range(10_000))
    admitted = 0
    for number in range(10_000):
        now[0] += 1.0
        admitted += throttle.admit(number) is not None
    assert (first, admitted) == (MOST_KEYS, 10_000)
    assert len(throttle._lines) == len(throttle._seen) == MOST_KEYS
