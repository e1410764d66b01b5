"""A recording read from a bag: ROS 1 (.bag), or ROS 2 (a folder with metadata.yaml; sqlite3 or mcap).

The bag's own pace and order are kept, and its bytes too. Only compressed images are decoded, so that whatever
plays the bag publishes raw ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import numpy.typing as npt
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Connection, TopicInfo
from rosbags.rosbag1 import ReaderError as ReaderError1
from rosbags.rosbag2 import ReaderError as ReaderError2
from rosbags.typesys import Stores, get_typestore

from asymfusion_ros.data.codecs.compressed import Compressed
from asymfusion_ros.data.codecs.compressed_depth import CompressedDepth
from asymfusion_ros.data.codecs.formats import DEPTH_TRANSPORT
from asymfusion_ros.data.encodings import RANGE
from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.errors import ImageError, shown
from asymfusion_ros.recordings.recording import NANOSECONDS, Calibration, RecordedImage, RecordingError

RAW, COMPRESSED, CAMERA_INFO = (
    f"sensor_msgs/msg/{name}" for name in ("Image", "CompressedImage", "CameraInfo")
)
GREY_NAMES = {"mono8", "8UC1"}


@dataclass(frozen=True)
class ImageTopic:
    """An image topic of a bag, and the encoding and header stamp (nanoseconds) of its first message."""

    name: str
    encoding: str
    compressed: bool
    messages: int
    stamp: int

    @property
    def modality(self) -> str:
        """``depth`` or ``rgb``, by the encoding."""
        return "depth" if self.encoding in RANGE else "rgb"

    def __str__(self) -> str:
        form = ", compressed" if self.compressed else ""
        return f"{self.name} ({self.encoding}{form}, {self.messages} messages)"


def choose_topic(topics: list[ImageTopic], modality: str, wanted: str | None) -> ImageTopic:
    """The topic to play as ``modality``: the wanted one, or the only one that fits best.

    Depth aligned with the colour image goes before unaligned, colour before grey (which is most often an
    infrared camera), raw before compressed. Raises RecordingError, listing the topics, where none fits or
    two fit equally well.
    """
    listing = "; ".join(map(str, topics)) or "none"
    option = f"--{modality}-topic"
    if wanted is not None:
        found = [topic for topic in topics if topic.name == wanted]
        if not found:
            raise RecordingError(f"{option} {wanted} is not an image topic of the bag; it has: {listing}")
        return found[0]

    def rank(topic: ImageTopic) -> tuple[bool, bool, bool]:
        # Word by word: "unaligned" and "infrared" must not pass for "aligned" and "rgb".
        words = set(re.split(r"[^a-z0-9]+", topic.name.lower()))
        if modality == "depth":
            good = bool(words & {"aligned", "registered"})
            return (not good, "depth" not in words, topic.compressed)
        return (topic.encoding in GREY_NAMES, not words & {"color", "colour", "rgb"}, topic.compressed)

    fitting = sorted((topic for topic in topics if topic.modality == modality), key=rank)
    if not fitting:
        needed = "a depth encoding (16UC1, mono16, 32FC1)" if modality == "depth" else "a colour encoding"
        raise RecordingError(f"no image topic of the bag has {needed}; it has: {listing}")
    best = [topic for topic in fitting if rank(topic) == rank(fitting[0])]
    if len(best) > 1:
        names = ", ".join(topic.name for topic in best)
        raise RecordingError(f"{option} is needed: {names} fit equally well")
    return best[0]


def camera_info_for(image_topic: str, camera_info_topics: list[str]) -> str | None:
    """The CameraInfo topic whose name begins like the image topic's; None where not one part agrees."""

    def common(name: str) -> int:
        pairs = zip_longest(image_topic.strip("/").split("/"), name.strip("/").split("/"))
        return next((count for count, (a, b) in enumerate(pairs) if a != b), len(name))

    best = max(camera_info_topics, key=common, default=None)
    return best if best is not None and common(best) > 0 else None


def decode_compressed(
    data: npt.NDArray[np.uint8], form: str, modality: str
) -> tuple[npt.NDArray[np.generic], str]:
    """A CompressedImage's picture and its encoding, as the node's transports decode it.

    ``form`` is the message's ``format``; ``modality``: rgb or depth. Raises RecordingError where the bytes
    cannot be decoded.
    """
    try:
        if modality == "depth" and DEPTH_TRANSPORT in form:
            return CompressedDepth.check(data.data, form).decode()
        return Compressed.check(data.data, form, KNOWN[modality].kind).decode()
    except ImageError as error:
        raise RecordingError(
            f"a compressed image of {data.size} bytes and format {shown(form)} does not decode: {error}"
        ) from error


class BagRecording:
    """The RGB and depth images of a bag, for ``seconds`` from the first of them (None: to the end)."""

    def __init__(
        self,
        path: Path,
        rgb_topic: str | None = None,
        depth_topic: str | None = None,
        seconds: float | None = None,
    ) -> None:
        self.path = path
        with self._open() as reader:
            topics = [
                _describe(reader, name, info)
                for name, info in reader.topics.items()
                if info.msgtype in (RAW, COMPRESSED) and info.msgcount > 0
            ]
            self.rgb_topic = choose_topic(topics, "rgb", rgb_topic)
            self.depth_topic = choose_topic(topics, "depth", depth_topic)
            self._calibration = self._camera_info(reader)
            chosen = self._chosen(reader)
            _, self._start, _ = next(reader.messages(chosen))
            self._end = reader.end_time
            counts = {"rgb": self.rgb_topic.messages, "depth": self.depth_topic.messages}
            if seconds is not None and seconds < self.seconds:
                self._end = self._start + int(seconds * NANOSECONDS)
                counts = {"rgb": 0, "depth": 0}
                for connection, _, _ in reader.messages(chosen, stop=self._end):
                    counts[self._modality(connection)] += 1
        self.images = counts
        # A topic without header stamps could never pair by them; the times of arrival can.
        self._stamped = self.rgb_topic.stamp != 0 and self.depth_topic.stamp != 0

    @property
    def title(self) -> str:
        """One line for the user."""
        note = "" if self._stamped else ", no header stamps: paired by time of arrival"
        return f"{self.path}: RGB {self.rgb_topic}, depth {self.depth_topic}{note}"

    @property
    def seconds(self) -> float:
        """How long playing takes."""
        return (self._end - self._start) / NANOSECONDS

    def __iter__(self) -> Iterator[RecordedImage]:
        first_stamp: int | None = None
        with self._open() as reader:
            for connection, time, raw in reader.messages(self._chosen(reader), stop=self._end):
                message: Any = reader.deserialize(raw, connection.msgtype)
                modality, due = self._modality(connection), time - self._start
                stamp = _nanoseconds(message.header.stamp)
                # Header and arrival may come from different clocks: both are counted from the first image.
                first_stamp = stamp if first_stamp is None else first_stamp
                stamp = stamp - first_stamp if self._stamped else due
                calibration = self._calibration if modality == "rgb" else None
                if connection.msgtype == COMPRESSED:
                    picture, encoding = decode_compressed(message.data, message.format, modality)
                    picture = np.ascontiguousarray(picture)
                    height, width = picture.shape[:2]
                    yield RecordedImage(
                        modality,
                        due,
                        stamp,
                        message.header.frame_id,
                        height,
                        width,
                        encoding,
                        picture.nbytes // height,
                        picture.reshape(-1).view(np.uint8),
                        calibration=calibration,
                    )
                else:
                    yield RecordedImage(
                        modality,
                        due,
                        stamp,
                        message.header.frame_id,
                        message.height,
                        message.width,
                        message.encoding,
                        message.step,
                        message.data,
                        bool(message.is_bigendian),
                        calibration,
                    )

    @contextmanager
    def _open(self) -> Iterator[AnyReader]:
        if not self.path.exists():
            raise RecordingError(f"{self.path} does not exist: give a .bag file or a ROS 2 bag's folder")
        try:
            # Bags of Humble and before carry no message definitions of their own.
            with AnyReader([self.path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
                yield reader
        except (AnyReaderError, ReaderError1, ReaderError2, apsw.Error, OSError) as error:
            raise RecordingError(
                f"{self.path} cannot be read as a bag: {' '.join(str(error).split())} "
                "(`ros2 bag reindex` or `rosbag reindex` repairs a recording that was cut off)"
            ) from error

    def _chosen(self, reader: AnyReader) -> list[Connection]:
        names = (self.rgb_topic.name, self.depth_topic.name)
        return [connection for connection in reader.connections if connection.topic in names]

    def _modality(self, connection: Connection) -> str:
        return "rgb" if connection.topic == self.rgb_topic.name else "depth"

    def _camera_info(self, reader: AnyReader) -> Calibration | None:
        infos = {c.topic: c for c in reader.connections if c.msgtype == CAMERA_INFO and c.msgcount > 0}
        topic = camera_info_for(self.rgb_topic.name, list(infos))
        if topic is None:
            return None
        _, _, raw = next(reader.messages([infos[topic]]))
        message: Any = reader.deserialize(raw, CAMERA_INFO)

        def numbers(name: str) -> tuple[float, ...]:
            # ROS 1 spells the matrices in capitals.
            values = getattr(message, name, None)
            values = getattr(message, name.upper()) if values is None else values
            return tuple(float(value) for value in values)

        return Calibration(
            message.width,
            message.height,
            numbers("k"),
            numbers("d"),
            numbers("r"),
            numbers("p"),
            message.distortion_model,
        )


def _describe(reader: AnyReader, name: str, info: TopicInfo) -> ImageTopic:
    connection, _, raw = next(reader.messages(info.connections))
    message: Any = reader.deserialize(raw, connection.msgtype)
    compressed = connection.msgtype == COMPRESSED
    # CompressedImage.format is "16UC1; compressedDepth", "bgr8; jpeg compressed bgr8" or just "jpeg".
    encoding = message.format.split(";")[0].strip() if compressed else message.encoding
    return ImageTopic(name, encoding, compressed, info.msgcount, _nanoseconds(message.header.stamp))


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)
