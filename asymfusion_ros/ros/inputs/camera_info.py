"""The camera_info beside an image topic: the latest one, as a CameraModel."""

from __future__ import annotations

import traceback
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.errors import ImageError
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.messages import CameraInfoMessage


class CameraInfoInput:
    """Subscribes to the camera_info of an image topic and keeps the newest.

    Its topic is ``camera_info`` in the image topic's namespace (``rgb/camera_info``), relative: where that is
    remapped, what it is remapped to; else the one beside what the image topic is remapped to. ``rectified``:
    whether the images are, so that P holds for them. ``log`` gets a line where the calibration changes.

    Attributes: ``topic``, resolved; ``message``, the newest, or None; ``model``, what it says, or None;
    ``fault``, why it can't be used, or None. Written in the executor's thread, read in any.
    """

    def __init__(self, node: Node, image_topic: str, rectified: bool, log: ThrottledLog) -> None:
        self._node = node
        self._rectified = rectified
        self._log = log
        relative = beside(image_topic)
        remapped = node.resolve_topic_name(relative)
        if remapped != node.resolve_topic_name(relative, only_expand=True):
            self.topic, self._name = remapped, relative
        else:
            self.topic = self._name = beside(node.resolve_topic_name(image_topic))
        self.message: CameraInfoMessage | None = None
        self.model: CameraModel | None = None
        self.fault: str | None = None
        self._calibration: tuple[object, ...] | None = None
        self._latched = self._is_latched()
        self._subscription: Any = self._subscribe()

    def follow_publishers(self) -> None:
        """Subscribes anew where all publishers now keep their last message for late subscribers, or no longer
        do; to be called once in a while."""
        latched = self._is_latched()
        if latched != self._latched:
            self._latched = latched
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe()

    def close(self) -> None:
        """Unsubscribes."""
        self._node.destroy_subscription(self._subscription)

    def lacking(self) -> str:
        """Why there is no ``model``: the beginning of a line for the log."""
        if self.fault is not None:
            return f"{self.topic}: {self.fault.removeprefix('camera_info: ')}"
        return f"nothing has come on {self.topic}: start it, or remap {beside('image')} of this camera"

    def _subscribe(self) -> Any:
        # Best effort and volatile, which any publisher satisfies; a message that was published once, before
        # this node was there, comes only to who asks for it.
        durability = DurabilityPolicy.TRANSIENT_LOCAL if self._latched else DurabilityPolicy.VOLATILE
        reliability = ReliabilityPolicy.RELIABLE if self._latched else ReliabilityPolicy.BEST_EFFORT
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST, depth=1, reliability=reliability, durability=durability
        )
        return self._node.create_subscription(CameraInfo, self._name, self._receive, profile)

    def _is_latched(self) -> bool:
        offers = [publisher.qos_profile for publisher in self._node.get_publishers_info_by_topic(self.topic)]
        return bool(offers) and all(
            offer.durability == DurabilityPolicy.TRANSIENT_LOCAL
            and offer.reliability == ReliabilityPolicy.RELIABLE
            for offer in offers
        )

    def _receive(self, message: CameraInfoMessage) -> None:
        try:
            self._take(message)
        except Exception:
            self._log.error(self.topic, f"a camera_info was lost:\n{traceback.format_exc()}")

    def _take(self, message: CameraInfoMessage) -> None:
        self.message = message
        calibration = _calibration(message)
        if calibration == self._calibration:
            return
        known, self._calibration = self._calibration is not None, calibration
        try:
            self.model, self.fault = CameraModel.from_camera_info(message, self._rectified), None
        except ImageError as error:
            self.model, self.fault = None, str(error)
        if known and self.model is not None:
            line = f"{self.topic}: the calibration changed: {description(self.model)}"
            self._log.info((self.topic, "calibration"), line)


def beside(image_topic: str) -> str:
    """``rgb/image_rect_color`` -> ``rgb/camera_info``, as image_transport names it."""
    namespace, slash, _ = image_topic.rpartition("/")
    return f"{namespace}{slash}camera_info"


def description(model: CameraModel) -> str:
    """One line for the log."""
    return (
        f"{model.width}x{model.height}, f = {model.fx:.1f}, {model.fy:.1f}, c = {model.cx:.1f}, "
        f"{model.cy:.1f}, distortion {model.distortion}"
    )


def _calibration(message: CameraInfoMessage) -> tuple[object, ...]:
    """What the model is made from, to see whether it changed."""
    roi = message.roi
    numbers = (np.asarray(values, np.float64).tobytes() for values in (message.d, message.k, message.p))
    size = message.width, message.height, message.binning_x, message.binning_y
    region = roi.x_offset, roi.y_offset, roi.width, roi.height
    return (message.distortion_model, *numbers, *size, *region)
