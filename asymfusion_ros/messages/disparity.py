"""stereo_msgs/DisparityImage: the depth of stereo cameras."""

from __future__ import annotations

from functools import partial

from asymfusion_ros.data.codecs.disparity import check_geometry, depth_of
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ImageError, shown
from asymfusion_ros.messages.fields import DisparityMessage
from asymfusion_ros.messages.stamped_image import Log, StampedImage

ENCODING = "32FC1"


class DisparityDecoder:
    """Each message is checked as it arrives; depth is made of it when it is read."""

    def __init__(self, log: Log) -> None:
        pass

    def decode(self, message: DisparityMessage, modality: Modality) -> StampedImage:
        """The depth of ``message``. Raises ImageError, which names what is wrong."""
        image = message.image
        if image.encoding != ENCODING:
            raise ImageError(
                f"the disparities' encoding is {shown(image.encoding)}; stereo_msgs/DisparityImage has "
                f"{ENCODING}: republish them in it"
            )
        check_geometry(message.f, message.t)
        disparity = RawImage.from_buffer(
            memoryview(image.data), image.height, image.width, ENCODING, image.step, bool(image.is_bigendian)
        )
        return StampedImage(message.header, partial(_read, disparity, message))


def _read(disparity: RawImage, message: DisparityMessage) -> RawImage:
    depth = depth_of(disparity.pixels(), message.f, message.t, message.min_disparity)
    return RawImage.from_array(depth, ENCODING)
