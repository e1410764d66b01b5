"""~/disagreement: where the modalities' predictions are apart, sensor_msgs/Image of the mask's size."""

from __future__ import annotations

from sensor_msgs.msg import Image

from asymfusion_ros.data.colouring import enlarged
from asymfusion_ros.messages.fields import ImageMessage
from asymfusion_ros.ros.messages import MessageType, image_message
from asymfusion_ros.ros.scene import Scene
from asymfusion_ros.ros.settings import NodeSettings


class DisagreementImage:
    """~/disagreement: mono8, 0 where the modalities predict the same, 255 where each is sure of a class of
    its own (engine/disagreement.py). Nothing for a frame of one modality.
    """

    topic = "~/disagreement"
    type: MessageType = Image
    needs = frozenset({"disagreement"})

    def __init__(self, settings: NodeSettings) -> None:
        """``settings``: for outputs that have some."""

    def message(self, scene: Scene) -> ImageMessage | None:
        """See the class."""
        coarse = scene.result.disagreement
        if coarse is None:
            return None
        height, width = scene.result.labels.shape
        # Here and not on the device: what is copied to the host is a sixteenth or less of the image.
        return image_message(scene.header, enlarged(coarse, (height, width)), "mono8")
