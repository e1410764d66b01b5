"""Errors that a user can act on.

Every message is one line that names the offending value and what to do about it. The command line
prints it without a traceback and exits with 1; the node logs it and goes on, or refuses to configure.
"""

import struct
import zlib


class UserError(Exception):
    """Something the user gave is wrong; the message says what, and the fix."""


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
