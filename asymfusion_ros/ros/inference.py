"""The network's call, for one camera or several: on a GPU the frames that wait go through it together.

A frame that fails is logged and counted as its camera's and touches no other camera's.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

from asymfusion_ros.messages.stamped_image import Frame
from asymfusion_ros.ros.frame_processor import FrameProcessor, PreparedFrame
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.network import Network
from asymfusion_ros.ros.node_task import NodeTask

Work = tuple[FrameProcessor, PreparedFrame]


class Inference:
    """Runs ``network`` on frames as ``task`` does. ``cameras``: each one's FrameProcessor by its
    name. ``log``: for what concerns several. ``enabled``: whether what comes out is to be published.
    """

    def __init__(
        self,
        task: NodeTask,
        network: Network,
        cameras: Mapping[str, FrameProcessor],
        log: ThrottledLog,
        enabled: Callable[[], bool],
    ) -> None:
        self._task = task
        self._network = network
        self._cameras = cameras
        self._log = log
        self._enabled = enabled

    def __call__(self, frames: list[tuple[str, Frame]]) -> None:
        """``frames``: each with its camera's name, at most one of a camera."""
        works: list[Work] = []
        for name, frame in frames:
            camera = self._cameras[name]
            with camera.accounted():
                prepared = camera.prepare(frame)
                if prepared is not None:
                    works.append((camera, prepared))
        if len(works) > 1 and self._together(works):
            return
        for camera, prepared in works:
            with camera.accounted():
                result = self._task.infer(self._network, prepared.images, prepared.wanted)
                self._publish(camera, prepared, result.numpy())

    def _together(self, works: list[Work]) -> bool:
        """Whether the frames could go through it in one call; where not, each is to be tried alone."""
        try:
            batch = [(prepared.images, prepared.wanted) for _, prepared in works]
            results = [result.numpy() for result in self._task.infer_batch(self._network, batch)]
        except Exception:
            self._log.warning(
                "batch",
                f"the frames of {len(works)} cameras could not be {self._task.words.done} together, so one "
                f"at a time:\n{traceback.format_exc()}",
            )
            return False
        for (camera, prepared), result in zip(works, results, strict=True):
            with camera.accounted():
                self._publish(camera, prepared, result)
        return True

    def _publish(self, camera: FrameProcessor, prepared: PreparedFrame, result: Any) -> None:
        if self._enabled():  # it may have been disabled since the frame was taken up
            camera.publish(prepared, result)
