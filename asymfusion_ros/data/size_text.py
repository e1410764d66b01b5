"""A size in pixels, as users write it."""

from __future__ import annotations

from asymfusion_ros.errors import UserError


def size_of(text: str, option: str = "--size") -> tuple[int, int]:
    """(width, height) of ``640x480``. Raises UserError, which names ``option``."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and part.isascii() and int(part) > 0 for part in parts):
        raise UserError(f"{option} {text!r} is not WIDTHxHEIGHT in pixels, as in 640x480")
    return int(parts[0]), int(parts[1])


def wrong_size(text: str) -> str:
    """What is wrong with a size, which may be empty."""
    if text:
        try:
            size_of(text, "it is")
        except UserError:
            return f"{text!r} is not WIDTHxHEIGHT in pixels, as in 320x240"
    return ""
