"""What a running node makes of its cameras' images, to be shown: nothing is segmented here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.geometry import Projector
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ConfigError, ImageError
from asymfusion_ros.messages.measured import read_measured
from asymfusion_ros.ros.output_listener import Heard, OutputListener
from asymfusion_ros.view.frame_log import FrameLog
from asymfusion_ros.view.shown import Shown

LOOK = 0.5  # seconds between two looks at what there is on the graph


class LiveFrames:
    """A context manager; iterating gives the frames of the node ``name`` as they come, for ``seconds`` (None:
    until the caller ends it). ``topics``: of the cameras, by modality; empty for those of the node.
    ``settings``: the node's parameters for its input. ``points``: whether a cloud is wanted. ``labels``: what
    the masks mean, unless the node says otherwise. Raises ConfigError.
    """

    def __init__(
        self,
        name: str,
        topics: Mapping[str, str],
        settings: Mapping[str, Any],
        labels: LabelSet,
        points: bool = True,
        seconds: float | None = None,
    ) -> None:
        self.labels = labels
        self._listener = OutputListener(name, topics, settings)
        self.modalities: Mapping[str, Modality] = self._listener.modalities
        self.name = self._listener.name
        self._points = points and any(one.kind == "range" for one in self.modalities.values())
        self._seconds = seconds
        self._projector = Projector(torch.device("cpu"))

    def __enter__(self) -> LiveFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def description(self) -> str:
        """One line: what is heard."""
        topics = ", ".join(f"{name} {one.topic}" for name, one in self._listener.camera.inputs.items())
        return f"{self.name}: {topics}"

    def __iter__(self) -> Iterator[Shown]:
        end = None if self._seconds is None else time.monotonic() + self._seconds
        while end is None or time.monotonic() < end:
            for heard in self._listener.listen(LOOK):
                self._follow_names()
                if (shown := self._shown(heard)) is not None:
                    yield shown

    def named(self, log: FrameLog) -> Iterator[Shown]:
        """The same for ``log``, which is told where the node names other classes."""
        for shown in self:
            if self.labels != log.labels:
                log.use(self.labels)
            yield shown

    def _follow_names(self) -> None:
        names = self._listener.names
        if names is not None and names != self.labels.names:
            try:
                self.labels = LabelSet(self.name, names)
            except ConfigError as error:
                self._listener.notes.warning_changed("label_info", f"{self.name}/label_info: {error}")

    def _shown(self, heard: Heard) -> Shown | None:
        listener = self._listener
        images: Mapping[str, RawImage] = {}
        decoded: Mapping[str, Tensor] = {}
        geometry = None
        if heard.frame is not None:
            topics = {name: one.topic for name, one in listener.camera.inputs.items()}
            try:
                images, faults = read_measured(heard.frame, self.modalities, topics)
            except ImageError as error:
                listener.notes.warning("frame", f"images skipped: {error}")
            else:
                for name, line in faults.items():
                    listener.notes.warning((name, "invalid"), line)
                decoded = {
                    name: self.modalities[name].decode(torch.from_numpy(image.data), image)
                    for name, image in images.items()
                }
                geometry = listener.camera.geometry.of(heard.frame, images, self._points)
                if geometry is not None:
                    decoded = self._projector.registered(geometry, decoded)
        outputs = heard.outputs
        if not images and not outputs:
            return None
        return Shown(
            heard.stamp,
            images,
            decoded,
            outputs.get("mask"),
            outputs.get("confidence"),
            outputs.get("disagreement"),
            geometry,
            heard.seconds,
        )
