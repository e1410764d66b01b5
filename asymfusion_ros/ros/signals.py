"""Signals that a process no longer wants."""

from __future__ import annotations

import ctypes
import signal


def ignore(number: int) -> None:
    """From now on the signal is dropped, also while the interpreter ends. To be called in the main thread.

    The system drops it first: Python's ``signal.signal`` alone leaves a moment in which one still arrives and
    finds no function any more, of which Python then prints "Signal 2 ignored due to race condition".
    """
    of_the_system = ctypes.CDLL(None).signal
    of_the_system.argtypes, of_the_system.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    of_the_system(number, int(signal.SIG_IGN))
    signal.signal(number, signal.SIG_IGN)
