"""sensor_msgs/Image from a topic."""

from sensor_msgs.msg import Image

from asymfusion_ros.messages.raw import RawDecoder
from asymfusion_ros.ros.messages import MessageType


class RawTransport(RawDecoder):
    """See RawDecoder."""

    message_type: MessageType = Image
    suffix = ""
