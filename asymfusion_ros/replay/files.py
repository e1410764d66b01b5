"""What the names of image files say."""

from __future__ import annotations

import re

from asymfusion_ros.recordings.recording import NANOSECONDS

SECONDS, DIGITS = re.compile(r"\d{1,10}\.\d{1,9}"), re.compile(r"\d{18,19}")


def stamp_in(name: str) -> int | None:
    """Nanoseconds, of a file called by its time: seconds (1305031102.175304) or nanoseconds, 18 or 19 digits
    (1305031102175304000); None of another."""
    last = name.rsplit("/", 1)[-1]
    if SECONDS.fullmatch(last):
        seconds, fraction = last.split(".")
        return int(seconds) * NANOSECONDS + int(fraction.ljust(9, "0"))
    return int(last) if DIGITS.fullmatch(last) else None


def stamp_name(stamp: int) -> str:
    """What a file of this time is called, so that ``stamp_in`` reads it and names sort by time."""
    return f"{stamp // NANOSECONDS:010d}.{stamp % NANOSECONDS:09d}"


def natural(name: str) -> list[tuple[int, str]]:
    """A key for sorting, so that 10 follows 9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
