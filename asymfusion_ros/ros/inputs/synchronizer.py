"""Whose pairing is in use: message_filters' where the ROS installation has it, else stream/pairing.py's."""

from __future__ import annotations

from types import ModuleType

from asymfusion_ros.stream import pairing


def implementation() -> ModuleType:
    """The module with message_filters' classes."""
    try:
        import message_filters
    except ImportError:
        return pairing
    found: ModuleType = message_filters
    return found


def implementation_name() -> str:
    """Which that is, for the log."""
    return "the built-in pairing" if implementation() is pairing else "message_filters"
