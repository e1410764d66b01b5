"""The image that a translation makes: sensor_msgs/Image of the reference image's size."""

from __future__ import annotations

from sensor_msgs.msg import Image

from asymfusion_ros.messages.fields import ImageMessage
from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.ros.messages import MessageType, image_message
from asymfusion_ros.ros.scene import TranslatedScene


class TranslatedImage:
    """~/image: rgb8, what the checkpoint makes of the frame."""

    topic = "~/image"
    type: MessageType = Image
    needs = frozenset({"image"})

    def __init__(self, settings: CommonSettings) -> None:
        """``settings``: for outputs that have some."""

    def message(self, scene: TranslatedScene) -> ImageMessage:
        """See the class."""
        return image_message(scene.header, scene.image, "rgb8")
