"""sensor_msgs/Image: what the engine reads is passed on without a copy, other colour converted to rgb8."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from asymfusion_ros.data.bounds import check_size
from asymfusion_ros.data.modality import KNOWN, Modality
from asymfusion_ros.engine.raw_image import RawImage, check_buffer
from asymfusion_ros.errors import ImageError, shown
from asymfusion_ros.messages.conversion import CONVERTED_ENCODINGS, ColourConversion
from asymfusion_ros.messages.fields import ImageMessage
from asymfusion_ros.messages.stamped_image import StampedImage

# OpenCV's names leave the channel order open; what publishes them holds OpenCV's own.
OPENCV_ENCODINGS = {"8UC1": "mono8", "8UC3": "bgr8", "8UC4": "bgra8"}


class RawDecoder:
    """Images as they are, in the encodings of their modality; colour in CONVERTED_ENCODINGS too.

    ``log`` gets one line for each encoding that has to be converted, naming the converter.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._convert = ColourConversion(log)

    def decode(self, message: ImageMessage, modality: Modality) -> StampedImage:
        """The image of ``message``, over the message's own memory where its encoding is the modality's.

        Raises ImageError, which names what is wrong.
        """
        if modality.kind == "colour" and message.encoding in CONVERTED_ENCODINGS:
            _check(message, CONVERTED_ENCODINGS[message.encoding])
            return StampedImage(message.header, partial(self._converted, message))
        encoding = message.encoding
        if modality.kind == "colour":
            encoding = OPENCV_ENCODINGS.get(encoding, encoding)
        if encoding not in modality.encodings:
            raise ImageError(_wrong_encoding(encoding, modality))
        data, bigendian = memoryview(message.data), bool(message.is_bigendian)
        image = RawImage.from_buffer(data, message.height, message.width, encoding, message.step, bigendian)
        return StampedImage(message.header, lambda: image)

    def _converted(self, message: ImageMessage) -> RawImage:
        return RawImage.from_array(self._convert(message), "rgb8")


def _check(message: ImageMessage, pixel_bytes: int) -> None:
    check_size(message.width, message.height)
    check_buffer(
        memoryview(message.data).nbytes,
        message.height,
        message.step,
        message.width * pixel_bytes,
        f"{message.width} {message.encoding}",
    )


def _wrong_encoding(encoding: str, modality: Modality) -> str:
    usable = [*modality.encodings, *(CONVERTED_ENCODINGS if modality.kind == "colour" else ())]
    others = {known for other in KNOWN.values() for known in other.encodings} | CONVERTED_ENCODINGS.keys()
    if encoding in others:
        advice = f"are the {modality.name} topic and another swapped?"
    else:
        advice = "republish the image in one of them"
    return f"encoding {shown(encoding)} is not one of {modality.name}'s ({', '.join(usable)}): {advice}"
