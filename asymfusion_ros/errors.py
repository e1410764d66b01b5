"""Errors that a user can act on.

Every message is one line that names the offending value and what to do about it. The command line
prints it without a traceback and exits with 1; the node logs it and goes on, or refuses to configure.
"""

import struct
import zlib

LONGEST = 2000  # characters of a message: what it quotes can be as long as a file


class UserError(Exception):
    """Something the user gave is wrong; the message says what, and the fix.

    It is one line that prints, whatever the names and values are that it quotes.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(_one_line(message))


def _one_line(text: str) -> str:
    if not text.isprintable():
        text = "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in text)
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]} ... {text[-LONGEST // 4 :]}"  # the advice stands at the end


class ImageError(UserError):
    """An image that cannot be used as it is: its encoding, size or data is wrong."""


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, of another kind, or does not fit its own description."""


class ConfigError(UserError, ValueError):
    """A network, input or recipe setting that is unknown, impossible or not available."""


# What the parsers of other libraries (torch, safetensors' and rosbags' own errors aside) raise on bytes that
# are damaged: a file is read under `except DAMAGED`, and nothing else is done there.
DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError,
    RuntimeError, StopIteration, TypeError, ValueError, struct.error, zlib.error,
)  # fmt: skip


def shown(text: str, limit: int = 60) -> str:
    """``text`` in quotes for a message, its middle left out beyond ``limit`` characters: what comes over the
    network may be a megabyte of anything.
    """
    if len(text) <= limit:
        return repr(text)
    half = limit // 2
    return f"{text[:half] + '...' + text[-half:]!r} ({len(text)} characters)"
