"""A bag's images with what it says of their cameras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.segmenter import reference_name
from asymfusion_ros.errors import ConfigError, ImageError
from asymfusion_ros.messages.camera_info import LatestCameraInfo
from asymfusion_ros.messages.compressed import CompressedDecoder
from asymfusion_ros.messages.compressed_depth import CompressedDepthDecoder
from asymfusion_ros.messages.disparity import DisparityDecoder
from asymfusion_ros.messages.geometry import is_rectified
from asymfusion_ros.messages.raw import RawDecoder
from asymfusion_ros.messages.transforms import TOPIC, FixedFrames
from asymfusion_ros.recordings.bag import CAMERA_INFO, COMPRESSED, RAW, camera_info_for
from asymfusion_ros.recordings.bag_file import TF, BagFile, BagMessage
from asymfusion_ros.recordings.recording import NANOSECONDS
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.source import Arrival
from asymfusion_ros.replay.topics import DISPARITY, choose_topics, without_suffix
from asymfusion_ros.stream.pairing import stamp_nanoseconds


class BagSource:
    """See Source. ``path``: of a ROS 1 or ROS 2 bag. Raises UserError for one that can't be read, and for
    topics that are not there."""

    def __init__(
        self, path: Path, modalities: Sequence[Modality], options: ReadOptions, notes: Notes
    ) -> None:
        self.path = path
        self.name = path.stem if path.is_file() else path.resolve().name
        self._modalities = {modality.name: modality for modality in modalities}
        with BagFile(path) as bag:
            chosen = choose_topics(bag, modalities, options.topics, options.labels, notes)
            self.topics: Mapping[str, str] = {name: topic.name for name, topic in chosen.items()}
            self.images: Mapping[str, int] = {name: topic.messages for name, topic in chosen.items()}
            self.lost = bag.lost
            first = {name: bag.first(topic) for name, topic in self.topics.items()}
            self._start = min(message.time for message in first.values())
            self._end = (
                bag.end if options.seconds is None else self._start + int(options.seconds * NANOSECONDS)
            )
            infos = [topic.name for topic in bag.topics.values() if topic.msgtype == CAMERA_INFO]
            base = reference_name(self.topics)
            ranges = [name for name in self.topics if self._modalities[name].kind == "range"]
            known: dict[str, LatestCameraInfo] = {}
            self._of_info: dict[str, list[LatestCameraInfo]] = {}
            for name in dict.fromkeys((base, *ranges)):
                image_topic = without_suffix(self.topics[name])
                beside = camera_info_for(image_topic, infos)
                rectified = is_rectified(options.rectified, name, image_topic)
                shown = beside or f"the camera_info of {image_topic}"
                info = known[name] = LatestCameraInfo(shown, rectified, notes)
                if beside is not None:
                    self._of_info.setdefault(beside, []).append(info)
            self.infos: Mapping[str, LatestCameraInfo] = known
            self.transforms = FixedFrames(notes)
            # Known from the beginning: the recorder may have been started after the latched messages' time.
            self.fixed: Sequence[Any] = []
            if TOPIC in bag.topics and bag.topics[TOPIC].msgtype == TF:
                self.fixed = [message.content for message in bag.messages([TOPIC])]
                for transforms in self.fixed:
                    self.transforms.take(transforms)
            for of_info, some in self._of_info.items():
                message = bag.first(of_info)
                for info in some:
                    info.take(_camera_info(message.content))
        stamps = [_stamp(message.content) for message in first.values()]
        # A topic without header stamps could never pair by them; the times of arrival can.
        self._by_arrival = not any(stamps)
        if self._by_arrival:
            notes(f"{path}: its images have no header stamps: paired by time of arrival")
        if self.lost:
            notes(f"{path}: {self.lost}")
        self.title = f"{path}: " + ", ".join(f"{name} {topic}" for name, topic in self.topics.items())
        self._decoders = {name: self._decoder(message, notes) for name, message in first.items()}

    def __iter__(self) -> Iterator[Arrival]:
        names = {topic: name for name, topic in self.topics.items()}
        with BagFile(self.path) as bag:
            for found in bag.messages({*names, *self._of_info}, self._end):
                if found.topic in self._of_info:
                    for info in self._of_info[found.topic]:
                        info.take(_camera_info(found.content))
                else:
                    yield self._arrival(names[found.topic], found)

    def _arrival(self, name: str, found: BagMessage) -> Arrival:
        message = found.content
        size = int(getattr(message, "image", message).data.nbytes)
        if self._by_arrival:
            seconds, nanoseconds = divmod(found.time, NANOSECONDS)
            stamp = SimpleNamespace(sec=seconds, nanosec=nanoseconds)
            message.header = SimpleNamespace(stamp=stamp, frame_id=message.header.frame_id)
        elif (nanoseconds := _stamp(message)) <= 0:
            value = "zero" if nanoseconds == 0 else f"negative ({nanoseconds / NANOSECONDS:g} s)"
            return Arrival(name, found.time, f"its stamp is {value}, so it can't be paired", size)
        try:
            image = self._decoders[name].decode(message, self._modalities[name])
        except ImageError as error:
            return Arrival(name, found.time, str(error), size, message, found.topic)
        return Arrival(name, found.time, image, size, message, found.topic)

    def _decoder(self, message: BagMessage, notes: Notes) -> Any:
        """The reader of a topic's messages, as the node's transports have it."""
        if message.msgtype == DISPARITY:
            return DisparityDecoder(notes)
        if message.msgtype == RAW:
            return RawDecoder(notes)
        if message.msgtype != COMPRESSED:
            raise ConfigError(f"{message.topic} is {message.msgtype}: images are of {RAW} or {COMPRESSED}")
        depth = "compressedDepth" in message.content.format or message.topic.endswith("/compressedDepth")
        return CompressedDepthDecoder(notes) if depth else CompressedDecoder(notes)


def _stamp(message: Any) -> int:
    return stamp_nanoseconds(message.header.stamp)


def _camera_info(message: Any) -> Any:
    """As ROS 2 has it: ROS 1 spells the matrices in capitals."""
    if hasattr(message, "k"):
        return message
    fields = {name.lower(): getattr(message, name) for name in "KDRP"}
    names = ("header", "height", "width", "distortion_model", "binning_x", "binning_y", "roi")
    return SimpleNamespace(**{name: getattr(message, name) for name in names}, **fields)
