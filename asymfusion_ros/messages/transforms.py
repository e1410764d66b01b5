"""What /tf_static says of the cameras' frames."""

from __future__ import annotations

from typing import Any

from asymfusion_ros.data.transform import Transform, TransformTree
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.messages.camera_info import Log

TOPIC = "/tf_static"


class FixedFrames:
    """The transforms that have come. ``log`` gets a line for each frame that lies nowhere.

    Attribute: ``missing``, why nothing is known, or None.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._tree = TransformTree()
        self.missing: str | None = None

    def between(self, source: str, target: str) -> Transform | None:
        """From the coordinates of the frame ``source`` to those of ``target``; None where nobody said."""
        return self._tree.between(source, target)

    def take(self, message: Any) -> None:
        """Notes a tf2_msgs/TFMessage's."""
        for one in message.transforms:
            self._take(one)

    def _take(self, one: Any) -> None:
        at, turned = one.transform.translation, one.transform.rotation
        try:
            values = at.x, at.y, at.z, turned.x, turned.y, turned.z, turned.w
            self._tree.add(one.header.frame_id, one.child_frame_id, Transform.from_quaternion(values))
        except ConfigError as error:
            name = one.child_frame_id[:80]
            self._log.warning_once((TOPIC, name), f"{TOPIC}: frame {name!r} is ignored: {error}")
