"""stereo_msgs/DisparityImage from a topic."""

from stereo_msgs.msg import DisparityImage

from asymfusion_ros.messages.disparity import DisparityDecoder
from asymfusion_ros.ros.messages import MessageType


class DisparityTransport(DisparityDecoder):
    """See DisparityDecoder."""

    message_type: MessageType = DisparityImage
    suffix = ""
