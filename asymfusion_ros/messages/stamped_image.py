"""An image as it arrived, checked but not yet read."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.messages.fields import Header

Log = Callable[[str], None]


@dataclass(frozen=True)
class StampedImage:
    """A checked image with the header of its message.

    ``read`` gives its pixels. It is called in the inference thread, for what is segmented: a costly
    conversion or decompression holds up no other image there. ``arrived``: when, by ``time.monotonic()``.
    """

    header: Header
    read: Callable[[], RawImage]
    arrived: float = field(default_factory=time.monotonic)


Frame = Mapping[str, StampedImage]  # the images of one instant, by modality, in the checkpoint's order
