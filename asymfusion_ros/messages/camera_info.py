"""The camera_info beside an image topic: the latest one, as a CameraModel."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import numpy as np

from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages.fields import CameraInfoMessage


class Log(Protocol):
    """Where lines for the user go, each under a key: the same thing need not be said again and again."""

    def info(self, key: Hashable, text: str) -> None:
        """Something that a person may want to know."""

    def info_once(self, key: Hashable, text: str) -> None:
        """The same, for what stays as it is."""

    def warning_once(self, key: Hashable, text: str) -> None:
        """A fault that is gone on with."""


class LatestCameraInfo:
    """Keeps the newest camera_info of ``topic``. ``rectified``: whether the images are, so that P holds for
    them. ``log`` gets a line where the calibration changes.

    Attributes: ``topic``; ``message``, the newest, or None; ``model``, what it says, or None; ``fault``, why
    it can't be used, or None.
    """

    advice = "record it too"  # where there is none

    def __init__(self, topic: str, rectified: bool, log: Log) -> None:
        self.topic = topic
        self.message: CameraInfoMessage | None = None
        self.model: CameraModel | None = None
        self.fault: str | None = None
        self._rectified = rectified
        self._log = log
        self._calibration: tuple[object, ...] | None = None

    def lacking(self) -> str:
        """Why there is no ``model``: the beginning of a line for the log."""
        if self.fault is not None:
            return f"{self.topic}: {self.fault.removeprefix('camera_info: ')}"
        return f"nothing has come on {self.topic}: {self.advice}"

    def take(self, message: CameraInfoMessage) -> None:
        """Keeps it."""
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
