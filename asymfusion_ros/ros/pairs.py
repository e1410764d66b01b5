"""What goes from the executor's thread to the inference thread."""

from __future__ import annotations

from typing import NamedTuple

from sensor_msgs.msg import Image


class Pair(NamedTuple):
    """What one mask is made from; one of the two may be missing."""

    rgb: Image | None
    depth: Image | None
