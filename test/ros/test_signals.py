"""Signals that are ignored from some moment on."""

import signal

import pytest

from asymfusion_ros.ros.signals import ignore

NUMBER = signal.SIGUSR1


@pytest.fixture
def arrived():
    """Those that arrived at a handler."""
    found = []
    before = signal.signal(NUMBER, lambda number, frame: found.append(number))
    yield found
    signal.signal(NUMBER, before)


def test_an_ignored_signal_is_dropped(arrived):
    signal.raise_signal(NUMBER)
    assert arrived == [NUMBER]
    ignore(NUMBER)
    signal.raise_signal(NUMBER)
    assert arrived == [NUMBER] and signal.getsignal(NUMBER) is signal.SIG_IGN


def test_none_arrives_any_more_when_python_forgets_its_handler(arrived, monkeypatch):
    """Python forgets the handler within signal.signal: one that comes there would find none."""
    forget = signal.signal

    def one_more(number, handler):
        signal.raise_signal(number)
        return forget(number, handler)

    monkeypatch.setattr(signal, "signal", one_more)
    ignore(NUMBER)
    monkeypatch.undo()
    assert arrived == []
