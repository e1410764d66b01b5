"""sensor_msgs/CompressedImage of image_transport's ``compressed``: PNG and JPEG."""

from __future__ import annotations

from functools import partial

import numpy as np
from sensor_msgs.msg import CompressedImage

from asymfusion_ros.data.codecs import opencv
from asymfusion_ros.data.codecs.compressed import Compressed
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.ros.inputs.conversion import CONVERTED_ENCODINGS, ColourConversion
from asymfusion_ros.ros.inputs.transports import Log
from asymfusion_ros.ros.messages import CompressedImageMessage, Header, MessageType, image_message
from asymfusion_ros.ros.scene import StampedImage


class CompressedTransport:
    """The header of each message is checked as it arrives; it is decoded when it is read.

    ``log`` gets a line where a Bayer mosaic has to be converted. Raises ConfigError without OpenCV.
    """

    message_type: MessageType = CompressedImage
    suffix = "/compressed"

    def __init__(self, log: Log) -> None:
        opencv.require("image_transport compressed")
        self._convert = ColourConversion(log)

    def decode(self, message: CompressedImageMessage, modality: Modality) -> StampedImage:
        """The image of ``message``. Raises ImageError, which names what is wrong."""
        image = Compressed.check(memoryview(message.data), message.format, modality.kind)
        return StampedImage(message.header, partial(self._read, image, message.header))

    def _read(self, image: Compressed, header: Header) -> RawImage:
        pixels, encoding = image.decode()
        if encoding not in CONVERTED_ENCODINGS:
            return RawImage.from_array(pixels, encoding)
        mosaic = image_message(header, np.ascontiguousarray(pixels).view(np.uint8), encoding)
        mosaic.width = pixels.shape[1]
        return RawImage.from_array(self._convert(mosaic), "rgb8")
