"""How images travel: a message type, the topic's suffix, and how a message becomes an image.

A new transport is a class in a file of its own and a line in TRANSPORTS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.ros.inputs.raw import RawTransport
from asymfusion_ros.ros.messages import MessageType
from asymfusion_ros.ros.scene import StampedImage


class Transport(Protocol):
    """One way for images to travel.

    message_type: the class of its messages. suffix: what its topics add to the image topic's name, as
    image_transport names them ("/compressed").
    """

    message_type: MessageType
    suffix: str

    def decode(self, message: Any, modality: Modality) -> StampedImage:
        """Checks a message and wraps it. Raises ImageError where it cannot be used.

        Called for every message as it arrives: what costs more than a check belongs in the result's
        ``read``.
        """


# Each is made with a function that logs a line.
TRANSPORTS: dict[str, Callable[[Callable[[str], None]], Transport]] = {"raw": RawTransport}
