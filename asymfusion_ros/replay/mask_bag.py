"""The masks of a recording as a bag beside it, on the topics on which the node publishes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.replay import messages
from asymfusion_ros.replay.frames import RecordedFrame
from asymfusion_ros.replay.source import Source
from asymfusion_ros.replay.split_bag import SplitBag

NAMESPACE = "/segmentation"
TF = "/tf_static"


class MaskBag:
    """/segmentation/mask, confidence, color_mask and label_info, with the reference images' headers.

    ``files``: how many the bag has already.
    """

    def __init__(self, folder: Path, labels: LabelSet, files: int) -> None:
        self._bag = SplitBag(folder, files)
        self._labels = labels
        self._palette = labels.palette
        self._first = files == 0
        self.finish, self.abandon = self._bag.finish, self._bag.abandon

    def add(
        self,
        frame: RecordedFrame,
        labels: npt.NDArray[np.uint8],
        confidence: npt.NDArray[np.uint8],
        originals: Source | None,
    ) -> None:
        """A frame's outputs, and of a source of ``originals`` its images and what is known of the cameras."""
        if self._first:
            info = messages.label_info(frame.header, self._labels.names)
            self._bag.write(f"{NAMESPACE}/label_info", frame.time, info, latched=True)
            for message in originals.fixed if originals is not None else ():
                self._bag.write(TF, frame.time, messages.as_ros2(message), latched=True)
            self._first = False
        if originals is not None:
            self._originals(frame, originals)
        colours = np.take(self._palette, labels, axis=0)  # several times faster than indexing
        for name, pixels, encoding in (
            ("mask", labels, "mono8"),
            ("confidence", confidence, "mono8"),
            ("color_mask", colours, "rgb8"),
        ):
            message = messages.image(frame.header, pixels, encoding)
            self._bag.write(f"{NAMESPACE}/{name}", frame.time, message)

    def _originals(self, frame: RecordedFrame, source: Source) -> None:
        for name, (topic, message) in frame.messages.items():
            if message is None:  # of a folder
                raw = messages.raw_image(frame.header, frame.images[name])
                self._bag.write(f"/{image_topic(name)}", frame.time, raw)
                continue
            self._bag.write(topic, frame.time, messages.as_ros2(message))
        for info in {info.topic: info for info in source.infos.values()}.values():
            if info.message is not None:
                self._bag.write(info.topic, frame.time, messages.camera_info(info.message, frame.header))
