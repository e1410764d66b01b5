"""A camera's frames to its published outputs: what happens in the inference thread.

Before the network: which images can be used (``prepare``); after it: the outputs (``publish``). The network
itself is called in inference.py, for one camera or several.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.runner import reference_name
from asymfusion_ros.engine.stopwatch import Stopwatch
from asymfusion_ros.errors import UserError
from asymfusion_ros.messages.measured import read_measured
from asymfusion_ros.messages.stamped_image import Frame
from asymfusion_ros.ros.frame_meter import FrameMeter
from asymfusion_ros.ros.inputs.geometry import CameraGeometry
from asymfusion_ros.ros.log import ThrottledLog, shortened
from asymfusion_ros.ros.node_task import FrameTask, Words
from asymfusion_ros.ros.outputs.base import Publishers
from asymfusion_ros.stream.counters import Counters


@dataclass(frozen=True)
class PreparedFrame:
    """A frame for the network.

    images: those that can be used, by modality. topics: the outputs that somebody subscribes to. wanted: what
    they, and the node, need of the result. watch: started when the frame was taken up.
    """

    frame: Frame
    images: Mapping[str, RawImage]
    topics: frozenset[str]
    wanted: Any
    watch: Stopwatch


class FrameProcessor:
    """What one camera's frames go through on both sides of the network.

    ``task``: what they are for. ``modalities``: the network's. ``topics``: the resolved name of each one's
    topic, for the log. ``cameras``: what is known of their geometry.
    """

    def __init__(
        self,
        task: FrameTask,
        words: Words,
        modalities: Sequence[Modality],
        publishers: Publishers,
        topics: Mapping[str, str],
        cameras: CameraGeometry,
        counters: Counters,
        log: ThrottledLog,
        meter: FrameMeter,
    ) -> None:
        self._modalities = {modality.name: modality for modality in modalities}
        self._publishers = publishers
        self._topics = topics
        self._cameras = cameras
        self._counters = counters
        self._log = log
        self._meter = meter
        self._task = task
        self._words = words

    @contextmanager
    def accounted(self) -> Iterator[None]:
        """Logs and counts what is raised within, a frame that can't be used or a fault that nobody foresaw:
        it ends neither the inference thread nor another camera's frame.
        """
        try:
            yield
        except UserError as error:
            self._counters.failed += 1
            self._log.warning("failed", f"a frame was skipped: {error}")
        except Exception:
            self._counters.failed += 1
            self._log.error("inference", f"a frame was not {self._words.done}:\n{traceback.format_exc()}")

    def prepare(self, frame: Frame) -> PreparedFrame | None:
        """What the network is to be given; None where nobody subscribes to any output. Raises ImageError for
        a frame that can't be used.
        """
        watch = Stopwatch()
        topics = self._publishers.subscribed()
        if not topics:
            self._counters.unsubscribed += 1
            return None
        images = self._usable(frame)
        needs = self._publishers.needs(topics)
        geometry = self._cameras.of(frame, images, points="points" in needs)
        self._compare(frame, images)
        wanted = self._task.wanted(needs, images, geometry)
        watch.lap("read")
        return PreparedFrame(frame, images, topics, wanted, watch)

    def publish(self, prepared: PreparedFrame, result: Any) -> None:
        """Publishes what came out for a prepared frame."""
        frame, images, watch = prepared.frame, prepared.images, prepared.watch
        watch.lap("inference")
        watch.seconds |= result.seconds
        self._say(prepared, result)
        self._task.seen(images, prepared.wanted, result)
        base = reference_name(images)
        header, info = frame[base].header, self._cameras.message(base)
        scene = self._task.scene(header, images, self._modalities, result, info)
        self._publishers.publish(prepared.topics, scene)
        watch.lap("publish")
        self._counters.segmented += 1
        self._meter.published(frame, header, prepared.topics, watch)

    def _say(self, prepared: PreparedFrame, result: Any) -> None:
        images, geometry = prepared.images, prepared.wanted.geometry
        if geometry is not None and result.out_of_view:
            self._log.warning(
                "out of view",
                f"no pixel of {geometry.depth} falls into {reference_name(images)}'s image: going on "
                "without it; is the transform right (depth_to_rgb or /tf_static), and its direction?",
            )

    def _usable(self, frame: Frame) -> dict[str, RawImage]:
        """The images in which anything was measured. Raises ImageError where there is none."""
        images, faults = read_measured(frame, self._modalities, self._topics)
        for name, line in faults.items():
            self._log.warning((name, "invalid"), line)
        return images

    def _compare(self, frame: Frame, images: Mapping[str, RawImage]) -> None:
        base = reference_name(images)
        for name, image in images.items():
            frame_id, wanted_frame = frame[name].header.frame_id, frame[base].header.frame_id
            if frame_id != wanted_frame and name == self._cameras.depth(images):
                continue  # CameraGeometry registers it, or says why not
            size, wanted = (f"{one.width}x{one.height}" for one in (image, images[base]))
            if size != wanted:
                line = f"{size} {name} is resized to {wanted} {base}"
                self._log.warning_changed((name, "size"), f"{line}: both must show the same view")
            if frame_id != wanted_frame:
                self._log.warning_once(
                    (name, "frame"),
                    f"{name} is in frame {shortened(frame_id, 100)!r}, {base} in "
                    f"{shortened(wanted_frame, 100)!r}: use {name} that is "
                    f"registered to {base}",
                )
