"""What a frame may be called: its name becomes a file's in every folder of images that is read or written."""

from __future__ import annotations

from pathlib import Path

from asymfusion_ros.errors import UserError

LONGEST = 240  # bytes of each part; file systems allow 255, with the ending and what is written beside


def check_frame_id(name: str, where: Path) -> None:
    """Raises UserError, which names the list ``where``, for a frame whose file could lie outside a folder,
    or that has no file of its own."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        wrong = "leads out of the folder"
    elif "" in parts or "." in parts:
        wrong = "is no plain path"
    elif not name.isprintable():
        wrong = "has characters that do not print"
    elif any(len(part.encode(errors="replace")) > LONGEST for part in parts) or len(name) > 1024:
        wrong = "is too long for a file's name"
    else:
        return
    shown = name if len(name) < 100 else f"{name[:100]}..."
    raise UserError(
        f"{where}: {shown!r} {wrong}: give each frame as its images are called below rgb/, without the "
        "ending (0001 or scene/0001)"
    )
