"""The mask, its confidence, and both pictures of it: sensor_msgs/Image of the reference image's size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import Image

from asymfusion_ros.messages.fields import ImageMessage
from asymfusion_ros.ros.messages import MessageType, image_message
from asymfusion_ros.ros.scene import Scene
from asymfusion_ros.ros.settings import NodeSettings

LABELS = frozenset({"labels"})


class _ImageOutput:
    topic: str
    type: MessageType = Image
    needs = LABELS

    def __init__(self, settings: NodeSettings) -> None:
        """``settings``: for outputs that have some."""


class Mask(_ImageOutput):
    """~/mask: mono8, the class of each pixel."""

    topic = "~/mask"

    def message(self, scene: Scene) -> ImageMessage:
        """See the class."""
        return image_message(scene.header, scene.result.labels, "mono8")


class Confidence(_ImageOutput):
    """~/confidence: mono8, the winning class's probability, 0 to 255."""

    topic = "~/confidence"
    needs = LABELS | {"confidence"}

    def message(self, scene: Scene) -> ImageMessage:
        """See the class."""
        assert scene.result.confidence is not None  # asked for in ``needs``
        return image_message(scene.header, scene.result.confidence, "mono8")


class ColorMask(_ImageOutput):
    """~/color_mask: rgb8, each pixel in its class's colour."""

    topic = "~/color_mask"

    def message(self, scene: Scene) -> ImageMessage:
        """See the class."""
        return image_message(scene.header, scene.colours, "rgb8")


class Overlay(_ImageOutput):
    """~/overlay: rgb8, the class colours over the reference image."""

    topic = "~/overlay"

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings

    def message(self, scene: Scene) -> ImageMessage:
        """See the class."""
        mixed = blend(scene.picture, scene.colours, self._settings.overlay_opacity)
        return image_message(scene.header, mixed, "rgb8")


def blend(
    picture: npt.NDArray[np.uint8], colours: npt.NDArray[np.uint8], opacity: float
) -> npt.NDArray[np.uint8]:
    """H x W x 3 RGB: ``colours`` over ``picture``, both H x W x 3 RGB; ``opacity`` 0 to 1."""
    # In 256ths: 255 x 256 still fits 16 bits, in which the blend is several times faster than in floats.
    weight = round(opacity * 256)
    # dtype is stated because NumPy 1 would compute with so small a factor in 8 bits.
    mixed = np.multiply(picture, 256 - weight, dtype=np.uint16)
    mixed += np.multiply(colours, weight, dtype=np.uint16)
    return (mixed >> 8).astype(np.uint8)
