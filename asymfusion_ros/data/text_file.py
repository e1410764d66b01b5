"""Text and JSON out of files that anyone may have written: within a size, errors on one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from asymfusion_ros.errors import UserError

SHOWN = 300  # characters of another library's message; what it quotes can be as long as the file


def one_line(error: object) -> str:
    """A library's message on one line, cut where it is long."""
    text = " ".join(str(error).split())
    text = "".join(one if one.isprintable() else "?" for one in text)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} ..."


def read_text(path: Path, largest: int, what: str | None = None, refusal: type[UserError] = UserError) -> str:
    """A file of UTF-8 text of at most ``largest`` bytes.

    what: begins the message, the path where it is left out. Raises ``refusal`` where it is not that.
    """
    what = str(path) if what is None else what
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        raise refusal(f"{what} cannot be read: {reason}") from error
    if len(content) > largest:
        raise refusal(f"{what} has more than {largest} bytes: is it the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise refusal(f"{what} is not UTF-8 text: {one_line(error.reason)} at byte {error.start}") from error


def parse_json(text: str) -> Any:
    """What ``json.loads`` gives. Raises ValueError, and nothing else, for what is not JSON, and for a whole
    number that no float holds."""
    try:
        return json.loads(text, parse_int=_whole_number)
    except RecursionError as error:  # brackets in brackets
        raise ValueError("too deep") from error


def _whole_number(digits: str) -> int:
    if len(digits) > 300:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)
