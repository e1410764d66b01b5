"""Pairing by stamps: one contract for message_filters, where it is installed, and for the stand-in."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.stream import pairing

IMPLEMENTATIONS = [pytest.param(pairing, id="stand-in")]
try:
    import message_filters

    IMPLEMENTATIONS.append(pytest.param(message_filters, id="message_filters"))
    from builtin_interfaces.msg import Time as Stamp
except ImportError:
    Stamp = SimpleNamespace

MS = 1_000_000


def message(milliseconds, name=""):
    nanoseconds = int(milliseconds * MS)
    stamp = Stamp(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), name=name or f"{milliseconds:g}")


class Streams:
    """Two inputs and what came out of their synchronizer, as stamps in milliseconds."""

    def __init__(self, module, slop, queue_size=10, inputs=2):
        self.inputs = [module.SimpleFilter() for _ in range(inputs)]
        self.synchronizer = (
            module.ApproximateTimeSynchronizer(self.inputs, queue_size, slop)
            if slop
            else module.TimeSynchronizer(self.inputs, queue_size)
        )
        self.out = []
        self.synchronizer.registerCallback(lambda *found: self.out.append(tuple(m.name for m in found)))

    def send(self, stream, *milliseconds):
        for ms in milliseconds:
            self.inputs[stream].signalMessage(message(ms))


@pytest.fixture(params=IMPLEMENTATIONS)
def module(request):
    return request.param


def test_exact_pairs_equal_stamps_alone_whatever_the_order(module):
    streams = Streams(module, slop=0)
    streams.send(0, 0, 33, 66)
    streams.send(1, 34, 66, 0)
    assert streams.out == [("66", "66"), ("0", "0")]


def test_approximate_pairs_within_slop_in_the_order_of_the_inputs(module):
    streams = Streams(module, slop=0.02)
    streams.send(1, 10)
    streams.send(0, 0)
    streams.send(0, 100)
    streams.send(1, 119)
    assert streams.out == [("0", "10"), ("100", "119")]


def test_slop_is_exclusive(module):
    streams = Streams(module, slop=0.02)
    streams.send(0, 0, 100)
    streams.send(1, 20, 119.999)
    assert streams.out == [("100", "119.999")]


def test_the_nearest_stamp_is_taken(module):
    streams = Streams(module, slop=0.05)
    streams.send(0, 0, 33, 66)
    streams.send(1, 36)
    assert streams.out == [("33", "36")]


def test_a_message_is_used_once(module):
    streams = Streams(module, slop=0.05)
    streams.send(0, 0)
    streams.send(1, 1, 2, 3)
    streams.send(0, 4)
    assert streams.out == [("0", "1"), ("4", "3")]


def test_a_full_queue_drops_its_oldest_stamp(module):
    streams = Streams(module, slop=0.02, queue_size=2)
    streams.send(0, 0, 100, 200)
    streams.send(1, 0, 100, 200)
    assert streams.out == [("100", "100"), ("200", "200")]


def test_three_inputs_make_triples(module):
    streams = Streams(module, slop=0.02, inputs=3)
    streams.send(0, 0)
    streams.send(1, 15)
    streams.send(2, 50, 10)
    assert streams.out == [("0", "15", "10")]
    # Each within the slop of the one that came last, but not of each other.
    streams.send(0, 1000)
    streams.send(1, 1030)
    streams.send(2, 1015)
    assert len(streams.out) == 1


def test_arguments_of_a_callback_follow_the_messages(module):
    source = module.SimpleFilter()
    seen = []
    source.registerCallback(lambda *arguments: seen.append(arguments), "extra")
    source.signalMessage("message")
    assert seen == [("message", "extra")]


@pytest.mark.parametrize("slop", [0, 0.02])
def test_a_stream_that_starts_over_pairs_again_once_later_stamps_are_forgotten(module, slop):
    """A recording loops while both queues are full of messages that found no partner."""
    streams = Streams(module, slop, queue_size=3)
    streams.send(0, 9000, 9100, 9200)
    streams.send(1, 9050, 9150, 9250)
    streams.send(0, 0)
    streams.send(1, 0)
    assert streams.out == []  # the trap: a message older than a full queue is dropped at once
    pairing.forget_later(streams.synchronizer, 0)
    streams.send(0, 0)
    pairing.forget_later(streams.synchronizer, 0)  # the second stream jumps; what waits there must stay
    streams.send(1, 0)
    assert streams.out == [("0", "0")]


def test_forgetting_all_leaves_nothing_to_pair(module):
    streams = Streams(module, slop=0.02)
    streams.send(0, 0)
    pairing.forget_all(streams.synchronizer)
    streams.send(1, 0)
    assert streams.out == []


events = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 400)), max_size=60)


@pytest.mark.parametrize("module", IMPLEMENTATIONS)
@given(events=events, queue_size=st.integers(1, 5), slop=st.sampled_from([0, 0.005, 0.03]))
def test_whatever_comes_sets_are_within_slop_and_nothing_is_used_twice(module, events, queue_size, slop):
    streams = Streams(module, slop, queue_size)
    for number, (stream, ms) in enumerate(events):
        streams.inputs[stream].signalMessage(message(ms, f"{stream}/{ms}/{number}"))
    used = [name for names in streams.out for name in names]
    assert len(used) == len(set(used))
    for first, second in streams.out:
        assert first.startswith("0/") and second.startswith("1/")
        apart = abs(int(first.split("/")[1]) - int(second.split("/")[1])) / 1000
        assert apart < slop or (slop == 0 and apart == 0)
    assert all(len(queue) <= queue_size for queue in streams.synchronizer.queues)


def test_a_callback_that_raises_does_not_stop_the_stand_in():
    """message_filters keeps its lock then, and hangs at the next message; that one can't be helped."""
    streams = Streams(pairing, slop=0.02)

    def fail(*found):
        raise RuntimeError("callback")

    streams.synchronizer.registerCallback(fail)
    streams.send(0, 0)
    with pytest.raises(RuntimeError, match="callback"):
        streams.send(1, 0)
    streams.send(0, 100)
    with pytest.raises(RuntimeError, match="callback"):
        streams.send(1, 100)
    assert streams.out == [("0", "0"), ("100", "100")]


def test_settings_that_can_never_pair_are_refused_by_the_stand_in():
    inputs = [pairing.SimpleFilter(), pairing.SimpleFilter()]
    with pytest.raises(ConfigError, match="slop is 0"):
        pairing.ApproximateTimeSynchronizer(inputs, 10, 0)
    with pytest.raises(ConfigError, match="queue_size is 0"):
        pairing.TimeSynchronizer(inputs, 0)
