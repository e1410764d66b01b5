"""sensor_msgs/CompressedImage of image_transport's ``compressed``: PNG and JPEG."""

from __future__ import annotations

from functools import partial

import numpy as np

from asymfusion_ros.data.codecs import opencv
from asymfusion_ros.data.codecs.compressed import Compressed
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.messages.conversion import CONVERTED_ENCODINGS, ColourConversion
from asymfusion_ros.messages.fields import CompressedImageMessage, Header, PlainImage
from asymfusion_ros.messages.stamped_image import Log, StampedImage


class CompressedDecoder:
    """The header of each message is checked as it arrives; it is decoded when it is read.

    ``log`` gets a line where a Bayer mosaic has to be converted. Raises ConfigError without OpenCV.
    """

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
        rows = np.ascontiguousarray(pixels).view(np.uint8)
        mosaic = PlainImage.of(header, rows, encoding, pixels.shape[1])
        return RawImage.from_array(self._convert(mosaic), "rgb8")
