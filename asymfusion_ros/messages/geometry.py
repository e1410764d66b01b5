"""What is known of the cameras of each frame: whether its depth has to be registered, and can be, and where
its points are.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence

from asymfusion_ros.data.camera_model import CameraModel, fitted
from asymfusion_ros.data.transform import Transform
from asymfusion_ros.engine.geometry import Geometry, Unregistered
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import reference_name
from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages.camera_info import LatestCameraInfo, Log
from asymfusion_ros.messages.fields import CameraInfoMessage
from asymfusion_ros.messages.stamped_image import Frame
from asymfusion_ros.messages.transforms import FixedFrames

PATIENCE = 1.0  # seconds for a camera_info and /tf_static to come after the first image


class FrameGeometry:
    """``infos``: the camera_info of the reference image and of each of ``depths``, by modality. Depth comes
    to the reference camera by the transform ``given``, or where that is None by ``transforms``.

    What is lacking where it is needed is a fault, a line each of ``faults``. ``log`` gets a line where depth
    is registered. ``without_points``: what that means where points are wanted, in these lines.
    """

    without_points = "~/points is not published"

    def __init__(
        self,
        depths: Sequence[str],
        infos: Mapping[str, LatestCameraInfo],
        given: Transform | None,
        transforms: FixedFrames | None,
        log: Log,
    ) -> None:
        self._log = log
        self._depths = list(depths)
        self._infos = infos
        self._given = given
        self._transforms = transforms
        self._lacking: dict[str, tuple[float, str]] = {}  # what for -> (since when, a line for the log)

    def message(self, name: str) -> CameraInfoMessage | None:
        """The newest camera_info of a modality."""
        info = self._infos.get(name)
        return None if info is None else info.message

    def faults(self, now: float) -> dict[str, str]:
        """What is needed and has been lacking for PATIENCE seconds, a line each. ``now``: of
        ``time.monotonic()``."""
        lacking = dict(self._lacking)
        return {what: line for what, (since, line) in lacking.items() if now - since >= PATIENCE}

    def depth(self, images: Mapping[str, RawImage]) -> str | None:
        """The modality of a frame's depth: that which points are made from, and which is registered."""
        return next((name for name in self._depths if name in images), None)

    def of(self, frame: Frame, images: Mapping[str, RawImage], points: bool) -> Geometry | None:
        """The geometry of a frame; ``images``: those of it that are segmented; ``points``: whether points are
        wanted. None where the frame is to be segmented as it is, without points."""
        base = reference_name(images)
        depth = self.depth(images)
        other = depth is not None and frame[depth].header.frame_id != frame[base].header.frame_id
        if not points and not other:
            self._lacking.clear()
            return None
        reference = images[base]
        unregistered = None
        try:
            if other:
                assert depth is not None
                unregistered = self._unregistered(frame, depth, base, images[depth])
            if not self._depths:
                raise ImageError("the checkpoint takes no depth: use one that does")
            camera = fitted(self._camera(base, frame), reference.width, reference.height)
        except ImageError as error:
            self._lacks(frame, depth, base, other, points, str(error))
            return None
        self._lacking.clear()
        if unregistered is not None:
            assert depth is not None
            source, target = (_frame_id(frame, name) for name in (depth, base))
            line = f"{depth} is projected into {base}'s camera ({source!r} to {target!r})"
            self._log.info_once("registered", line)
        return Geometry(camera, depth, unregistered, points)

    def _unregistered(self, frame: Frame, depth: str, base: str, image: RawImage) -> Unregistered:
        """Raises ImageError where something is not known."""
        camera = self._own(depth)
        source, target = frame[depth].header.frame_id, frame[base].header.frame_id
        transform = self._given
        if transform is None:
            assert self._transforms is not None  # made where there are two modalities and nothing is given
            transform = self._transforms.between(source, target)
        if transform is None:
            missing = self._transforms.missing if self._transforms is not None else None
            shown = [_frame_id(frame, one) for one in (depth, base)]
            reason = missing or f"/tf_static does not join {shown[0]!r} and {shown[1]!r}"
            raise ImageError(f"{reason}: set the parameter depth_to_rgb")
        return Unregistered(fitted(camera, image.width, image.height), transform)

    def _own(self, name: str) -> CameraModel:
        info = self._infos[name]
        if info.model is None:
            raise ImageError(info.lacking())
        return info.model

    def _camera(self, name: str, frame: Frame) -> CameraModel:
        """The camera of a modality. That of registered depth and of the image it is registered to are one, so
        that either camera_info will do."""
        if self._infos[name].model is None:
            frame_id = frame[name].header.frame_id
            for info in self._infos.values():
                message, model = info.message, info.model
                if message is not None and model is not None and message.header.frame_id == frame_id:
                    return model
        return self._own(name)

    def _lacks(
        self, frame: Frame, depth: str | None, base: str, other: bool, points: bool, reason: str
    ) -> None:
        if other:
            assert depth is not None
            source, target = (_frame_id(frame, name) for name in (depth, base))
            line = (
                f"{depth} is in frame {source!r}, {base} in {target!r}, and is used as it is: it can't be "
                f"projected into {base}'s camera ({reason}); or use {depth} that is registered to {base}"
            )
            if points:
                line += f"; {self.without_points}"
            self._note("registration", line)
        elif points:
            self._note("points", f"{self.without_points}: {reason}")

    def _note(self, what: str, line: str) -> None:
        now = time.monotonic()
        self._lacking[what] = self._lacking.get(what, (now, ""))[0], line


def _frame_id(frame: Frame, name: str) -> str:
    """The frame of an image, for the log: whoever sends it may have made it endless."""
    return frame[name].header.frame_id[:80]


def is_rectified(setting: str, modality: str, topic: str) -> bool:
    """The parameter rectified, for the images of a modality on a resolved topic."""
    if setting == "auto":
        return not {"rect", "rectified"}.isdisjoint(re.split("[/_]", topic))
    return setting in ("all", modality)
