"""Messages that no camera should send, for each transport: what must be refused, or do no harm.

A transport of its own joins by a module and a line in MALFORMED and in SETTINGS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .disparity import disparity
from .encoded import compressed
from .encoded_depth import compressed_depth
from .message import Malformed
from .raw import raw

# transport -> its malformed messages
MALFORMED: dict[str, Callable[[], Iterator[Malformed]]] = {
    "raw": raw,
    "compressed": compressed,
    "compressedDepth": compressed_depth,
    "disparity": disparity,
}
# transport -> the node's parameters
SETTINGS: dict[str, dict[str, str]] = {
    "raw": {},
    "compressed": {"image_transport": "compressed", "depth_image_transport": "compressed"},
    "compressedDepth": {"image_transport": "compressed", "depth_image_transport": "compressedDepth"},
    "disparity": {"depth_image_transport": "disparity"},
}

__all__ = ["MALFORMED", "SETTINGS", "Malformed"]
