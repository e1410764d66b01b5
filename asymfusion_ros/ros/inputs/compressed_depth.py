"""sensor_msgs/CompressedImage of image_transport's ``compressedDepth`` from a topic."""

from sensor_msgs.msg import CompressedImage

from asymfusion_ros.messages.compressed_depth import CompressedDepthDecoder
from asymfusion_ros.ros.messages import MessageType


class CompressedDepthTransport(CompressedDepthDecoder):
    """See CompressedDepthDecoder."""

    message_type: MessageType = CompressedImage
    suffix = "/compressedDepth"
