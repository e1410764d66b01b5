"""What a malformed message is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

REFUSED = "image skipped"  # as it arrives
HARMLESS = ""
# Found out when the image is read; the log holds the line back where it comes often.
NOT_READ = "a frame was skipped|frames not segmented"


@dataclass(frozen=True)
class Malformed:
    """name: what is wrong. modality: whose topic it is sent to. make: the message, from its stamp (ns). says:
    what the node must say, a regular expression.
    """

    name: str
    modality: str
    make: Callable[[int], Any]
    says: str = REFUSED
