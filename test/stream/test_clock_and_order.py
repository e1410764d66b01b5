"""Simulated time that does not run, and frames that complete out of order."""

from asymfusion_ros.stream.clock import ClockHealth
from asymfusion_ros.stream.order import Order

MS = 1_000_000


def test_the_system_clock_is_never_a_fault():
    clock = ClockHealth()
    for now in range(5):
        clock.look(now, None)
        assert clock.fault(now) is None


def test_a_clock_that_never_comes_and_one_that_is_paused_are_told_apart():
    clock = ClockHealth()
    clock.look(10.0, 0)
    assert clock.fault(10.9) is None
    assert "nothing has come on /clock for 2 s" in clock.fault(12.0)
    clock.look(12.5, 7_500 * MS)
    assert clock.fault(13.4) is None
    clock.look(13.6, 7_500 * MS)
    assert "stood still at 7.500 s for 1 s" in clock.fault(13.6)
    clock.look(14.0, 7_600 * MS)
    assert clock.fault(14.5) is None
    clock.look(15.0, None)  # use_sim_time was set to false
    assert clock.fault(20.0) is None


def test_a_frame_older_than_the_last_is_held_back_unless_time_itself_went_back():
    order = Order()
    stamps = [1000, 1033, 1010, 1033, 1066, 966, 965, 1000]
    assert [order.passes(stamp * MS) for stamp in stamps] == [
        True, True, False, True, True, False, True, True,
    ]  # fmt: skip
    order.forget()
    assert order.passes(990 * MS)
