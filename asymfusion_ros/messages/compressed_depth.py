"""sensor_msgs/CompressedImage of image_transport's ``compressedDepth``: PNG and RVL."""

from __future__ import annotations

from asymfusion_ros.data.codecs import opencv
from asymfusion_ros.data.codecs.compressed_depth import CompressedDepth
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.messages.fields import CompressedImageMessage
from asymfusion_ros.messages.stamped_image import Log, StampedImage


class CompressedDepthDecoder:
    """The header of each message is checked as it arrives; it is decoded when it is read.

    Raises ConfigError without OpenCV.
    """

    def __init__(self, log: Log) -> None:
        opencv.require("depth_image_transport compressedDepth")

    def decode(self, message: CompressedImageMessage, modality: Modality) -> StampedImage:
        """The image of ``message``. Raises ImageError, which names what is wrong."""
        image = CompressedDepth.check(memoryview(message.data), message.format)
        return StampedImage(message.header, lambda: RawImage.from_array(*image.decode()))
