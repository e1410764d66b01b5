"""The alarm over time, by hand: looks every quarter of a second, a mean over ten seconds."""

import pytest

from asymfusion_ros.stream.disagreement import STALE_AFTER, DisagreementAlarm


def fed(alarm, shares, start=100.0, step=0.25):
    """Looks at ``shares``, one a ``step``; the time of the last one."""
    for number, share in enumerate(shares):
        alarm.look(share, start + number * step)
    return start + (len(shares) - 1) * step


def test_it_takes_some_looks():
    alarm = DisagreementAlarm(threshold=0.2, usual=0.04)
    assert alarm.state(0.0) is None
    now = fed(alarm, [0.9] * 4)
    assert alarm.state(now).since is None
    alarm.look(0.9, now + 0.25)
    assert alarm.state(now + 0.25).since == now + 0.25
    assert alarm.state(now + 2).share == pytest.approx(0.9)


def test_a_moment_is_no_fault_and_a_lasting_one_is():
    """Of the 41 looks of ten seconds, 0.1 is exceeded when six or more are 0.8 and the rest 0."""
    alarm = DisagreementAlarm(threshold=0.1, usual=0.0)
    now = fed(alarm, [0.0] * 41 + [0.8] * 5)
    state = alarm.state(now)
    assert (state.share, state.since) == (pytest.approx(4.0 / 41), None)
    alarm.look(0.8, now + 0.25)
    state = alarm.state(now + 0.25)
    assert (state.share, state.since) == (pytest.approx(4.8 / 41), now + 0.25)


def test_it_ends_half_way_back():
    """From 0.3 at a usual 0.1: at a mean of 0.2 or less. since stays that of its beginning."""
    alarm = DisagreementAlarm(threshold=0.3, usual=0.1)
    now = fed(alarm, [0.5] * 41)
    began = alarm.state(now).since
    assert began == 101.0  # the fifth look
    # n looks of 0.1 among 41: 0.5 - 0.4 n / 41 <= 0.2 from n = 31 on
    now = fed(alarm, [0.1] * 30, now + 0.25)
    assert alarm.state(now).since == began
    now = fed(alarm, [0.1], now + 0.25)
    assert alarm.state(now).since is None


def test_a_slow_network_needs_as_many_looks():
    alarm = DisagreementAlarm(threshold=0.2, usual=0.0)
    now = fed(alarm, [0.0] * 5 + [0.3] * 3, step=4.0)
    assert alarm.state(now).share == pytest.approx(0.9 / 5)
    now = fed(alarm, [0.3], now + 4.0)
    assert alarm.state(now).share == pytest.approx(1.2 / 5)
    assert alarm.state(now).since == now


def test_looks_are_a_quarter_of_a_second_apart():
    alarm = DisagreementAlarm(threshold=0.2, usual=0.0)
    assert alarm.due(5.0)
    alarm.look(0.1, 5.0)
    assert not alarm.due(5.2)
    assert alarm.due(5.25)


def test_what_is_old_is_forgotten():
    alarm = DisagreementAlarm(threshold=0.2, usual=0.0)
    now = fed(alarm, [0.9] * 9)
    assert alarm.state(now + STALE_AFTER).since is not None
    assert alarm.state(now + STALE_AFTER + 1) is None
    alarm.look(0.9, now + STALE_AFTER + 2)
    assert alarm.state(now + STALE_AFTER + 2).since is None
