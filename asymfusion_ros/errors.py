"""Errors that a user can act on.

Every message is one line that names the offending value and what to do about it. The command line
prints it without a traceback and exits with 1; the node logs it and goes on, or refuses to configure.
"""


class UserError(Exception):
    """Something the user gave is wrong; the message says what, and the fix."""


class ImageError(UserError):
    """An image that cannot be used as it is: its encoding, size or data is wrong."""


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, of another kind, or does not fit its own description."""


class ConfigError(UserError, ValueError):
    """A network, input or recipe setting that is unknown, impossible or not available."""


def shown(text: str, limit: int = 60) -> str:
    """``text`` in quotes for a message, its middle left out beyond ``limit`` characters: what comes over the
    network may be a megabyte of anything.
    """
    if len(text) <= limit:
        return repr(text)
    half = limit // 2
    return f"{text[:half] + '...' + text[-half:]!r} ({len(text)} characters)"
