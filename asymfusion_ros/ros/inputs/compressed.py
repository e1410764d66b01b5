"""sensor_msgs/CompressedImage of image_transport's ``compressed`` from a topic."""

from sensor_msgs.msg import CompressedImage

from asymfusion_ros.messages.compressed import CompressedDecoder
from asymfusion_ros.ros.messages import MessageType


class CompressedTransport(CompressedDecoder):
    """See CompressedDecoder."""

    message_type: MessageType = CompressedImage
    suffix = "/compressed"
