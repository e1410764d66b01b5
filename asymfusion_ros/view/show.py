"""Frames to a Rerun recording, as they come."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import rerun as rr

from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.view.destinations import Outlet
from asymfusion_ros.view.frame_log import FrameLog
from asymfusion_ros.view.shown import Shown

APPLICATION = "asymfusion"
ON_THE_WAY = 1.0  # seconds of frames that may be on their way


def new_stream(name: str) -> rr.RecordingStream:
    """A Rerun recording called ``name``, for the timelines of FrameLog alone."""
    stream = rr.RecordingStream(APPLICATION, recording_id=uuid4())
    stream.set_log_time_enabled(False)
    stream.set_log_tick_enabled(False)
    stream.send_recording_name(name)
    return stream


def show(frames: Iterable[Shown], log: FrameLog, notes: Notes, outlet: Outlet) -> bool:
    """Logs them all, and what there is to say of them; whether Ctrl-C came before the last. Raises UserError
    where they get no farther."""
    said, due = 0, time.monotonic() + ON_THE_WAY
    try:
        for frame in frames:
            log.add(frame, notes.lines[said:])
            said = len(notes.lines)
            if time.monotonic() > due:
                # What the viewer is too slow for must not pile up here; and a full disk is noticed.
                outlet.flush()
                due = time.monotonic() + ON_THE_WAY
    except KeyboardInterrupt:
        return True
    return False


@contextmanager
def ended_alike() -> Iterator[None]:
    """SIGTERM ends what is done within as Ctrl-C does: a file that is being written becomes whole."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def until_stopped() -> None:
    """Waits for Ctrl-C."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        return
