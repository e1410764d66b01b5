"""The network's call, for one camera or several: frames of the same shape go through it together on a GPU.

A frame that fails is logged and counted as its camera's and touches no other camera's.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping

from asymfusion_ros.engine.segmenter import reference_name
from asymfusion_ros.ros.frame_segmenter import FrameSegmenter, PreparedFrame
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.network import Network
from asymfusion_ros.ros.scene import Frame

Work = tuple[FrameSegmenter, PreparedFrame]


def batch_size(network: Network, cameras: int) -> int:
    """How many frames to segment together: a CPU is no faster at several than at one after the other."""
    return 1 if cameras == 1 or network.device.type == "cpu" else cameras


class Inference:
    """Segments frames with ``network``. ``cameras``: each one's FrameSegmenter by its name. ``log``: for what
    concerns several.
    """

    def __init__(self, network: Network, cameras: Mapping[str, FrameSegmenter], log: ThrottledLog) -> None:
        self._network = network
        self._cameras = cameras
        self._log = log

    def __call__(self, frames: list[tuple[str, Frame]]) -> None:
        """``frames``: each with its camera's name, at most one of a camera."""
        alike: dict[object, list[Work]] = {}
        for name, frame in frames:
            camera = self._cameras[name]
            with camera.accounted():
                prepared = camera.prepare(frame)
                if prepared is not None:
                    alike.setdefault(_shape(prepared), []).append((camera, prepared))
        for works in alike.values():
            if len(works) == 1 or not self._together(works):
                for camera, prepared in works:
                    with camera.accounted():
                        confidence = "confidence" in prepared.needs
                        result = self._network.segment(prepared.images, confidence=confidence).numpy()
                        camera.publish(prepared, result)

    def _together(self, works: list[Work]) -> bool:
        """Whether the frames could be segmented in one call; where not, each is to be tried alone."""
        confidence = any("confidence" in prepared.needs for _, prepared in works)
        images = [prepared.images for _, prepared in works]
        try:
            results = [one.numpy() for one in self._network.segment_batch(images, confidence=confidence)]
        except Exception:
            self._log.warning(
                "batch",
                f"the frames of {len(works)} cameras could not be segmented together, so one at a time:\n"
                f"{traceback.format_exc()}",
            )
            return False
        for (camera, prepared), result in zip(works, results, strict=True):
            with camera.accounted():
                camera.publish(prepared, result)
        return True


def _shape(frame: PreparedFrame) -> object:
    """What must be equal for frames to go through the network together."""
    reference = frame.images[reference_name(frame.images)]
    return tuple(frame.images), reference.height, reference.width
