"""How images travel: a message type, the topic's suffix, and how a message becomes an image.

A new transport is a class in a file of its own and a line in TRANSPORTS. Read without ROS: the names are
choices of the node's parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from asymfusion_ros.errors import ConfigError

if TYPE_CHECKING:
    from asymfusion_ros.data.modality import Modality
    from asymfusion_ros.messages.stamped_image import Log, StampedImage
    from asymfusion_ros.ros.messages import MessageType


class Transport(Protocol):
    """One way for images to travel. Made with a function that logs a line.

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


@dataclass(frozen=True)
class Entry:
    """A transport as it is registered.

    load: gives its class, whose module is not imported before: its message type or decoder may not be
    installed. kinds: of modalities whose images it carries.
    """

    load: Callable[[], Any]
    kinds: tuple[str, ...]


def _lazily(module: str, name: str) -> Callable[[], Any]:
    return lambda: getattr(import_module(f"asymfusion_ros.ros.inputs.{module}"), name)


TRANSPORTS: dict[str, Entry] = {
    "raw": Entry(_lazily("raw", "RawTransport"), ("colour", "scalar", "range")),
    "compressed": Entry(_lazily("compressed", "CompressedTransport"), ("colour", "scalar", "range")),
    "compressedDepth": Entry(_lazily("compressed_depth", "CompressedDepthTransport"), ("range",)),
    "disparity": Entry(_lazily("disparity", "DisparityTransport"), ("range",)),
}


class TransportChoice(Protocol):
    """The settings that choose transports: those of NodeSettings."""

    @property
    def image_transport(self) -> str:
        """That of colour and scalar images."""

    @property
    def depth_image_transport(self) -> str:
        """That of ranges."""


def names(*kinds: str) -> tuple[str, ...]:
    """The transports that carry images of all these kinds."""
    return tuple(name for name, entry in TRANSPORTS.items() if set(kinds) <= set(entry.kinds))


def parameter_of(modality: Modality) -> str:
    """The parameter that chooses the transport of a modality."""
    return "depth_image_transport" if modality.kind == "range" else "image_transport"


def load_transports(
    modalities: Iterable[Modality], settings: TransportChoice, log: Log
) -> dict[str, Transport]:
    """The transport of each modality. Raises ConfigError for one that needs what is not installed."""
    found = {}
    for modality in modalities:
        parameter = parameter_of(modality)
        name = getattr(settings, parameter)
        try:
            found[modality.name] = TRANSPORTS[name].load()(log)
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            raise ConfigError(
                f"{parameter} {name} needs {package}, which is not installed: install it (as the ROS package "
                f"{package}), or choose another transport"
            ) from error
    return found


def others_of(modality: Modality, transport: Transport) -> dict[str, Transport]:
    """The transports besides ``transport`` that may carry its images and are installed, by name."""
    found = {}
    for name in names(modality.kind):
        try:
            kind = TRANSPORTS[name].load()
        except ModuleNotFoundError:
            continue
        if (kind.suffix, kind.message_type) != (transport.suffix, transport.message_type):
            found[name] = kind
    return found
