"""A recording read from a bag: ROS 1 (.bag), or ROS 2 (a folder with metadata.yaml; sqlite3 or mcap).

The bag's own pace and order are kept, and its bytes too. Only compressed images are decoded, so that whatever
plays the bag publishes raw ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.codecs.compressed import Compressed
from asymfusion_ros.data.codecs.compressed_depth import CompressedDepth
from asymfusion_ros.data.codecs.formats import DEPTH_TRANSPORT
from asymfusion_ros.data.encodings import RANGE
from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.errors import ImageError, shown
from asymfusion_ros.recordings.bag_file import BagFile, BagTopic
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


def choose_topic(topics: list[ImageTopic], modality: str, wanted: str | None, option: str = "") -> ImageTopic:
    """The topic to play as ``modality``: the wanted one, or the only one that fits best. ``option``: of the
    command line, that names it.

    Depth aligned with the colour image goes before unaligned, colour before grey (which is most often an
    infrared camera), raw before compressed. Raises RecordingError, listing the topics, where none fits or
    two fit equally well.
    """
    listing = "; ".join(map(str, topics)) or "none"
    option = option or f"--{modality}-topic"
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
        with BagFile(path) as bag:
            topics = [
                describe_topic(bag, topic)
                for topic in bag.topics.values()
                if topic.msgtype in (RAW, COMPRESSED)
            ]
            self.rgb_topic = choose_topic(topics, "rgb", rgb_topic)
            self.depth_topic = choose_topic(topics, "depth", depth_topic)
            self._calibration = self._camera_info(bag)
            self._start = min(bag.first(topic).time for topic in self._chosen)
            self._end = bag.end
            counts = {"rgb": self.rgb_topic.messages, "depth": self.depth_topic.messages}
            if seconds is not None and seconds < self.seconds:
                self._end = self._start + int(seconds * NANOSECONDS)
                counts = {"rgb": 0, "depth": 0}
                for message in bag.messages(self._chosen, self._end):
                    counts[self._modality(message.topic)] += 1
            self._lost = bag.lost
        self.images = counts
        # A topic without header stamps could never pair by them; the times of arrival can.
        self._stamped = self.rgb_topic.stamp != 0 and self.depth_topic.stamp != 0

    @property
    def title(self) -> str:
        """One line for the user."""
        note = "" if self._stamped else ", no header stamps: paired by time of arrival"
        lost = f"; {self._lost}" if self._lost else ""
        return f"{self.path}: RGB {self.rgb_topic}, depth {self.depth_topic}{note}{lost}"

    @property
    def seconds(self) -> float:
        """How long playing takes."""
        return (self._end - self._start) / NANOSECONDS

    def __iter__(self) -> Iterator[RecordedImage]:
        first_stamp: int | None = None
        with BagFile(self.path) as bag:
            for found in bag.messages(self._chosen, self._end):
                message = found.content
                modality, due = self._modality(found.topic), found.time - self._start
                stamp = _nanoseconds(message.header.stamp)
                # Header and arrival may come from different clocks: both are counted from the first image.
                first_stamp = stamp if first_stamp is None else first_stamp
                stamp = stamp - first_stamp if self._stamped else due
                calibration = self._calibration if modality == "rgb" else None
                if found.msgtype == COMPRESSED:
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

    @property
    def _chosen(self) -> tuple[str, str]:
        return self.rgb_topic.name, self.depth_topic.name

    def _modality(self, topic: str) -> str:
        return "rgb" if topic == self.rgb_topic.name else "depth"

    def _camera_info(self, bag: BagFile) -> Calibration | None:
        infos = [topic.name for topic in bag.topics.values() if topic.msgtype == CAMERA_INFO]
        topic = camera_info_for(self.rgb_topic.name, infos)
        if topic is None:
            return None
        message = bag.first(topic).content

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


def describe_topic(bag: BagFile, topic: BagTopic) -> ImageTopic:
    """An image topic, by its first message."""
    message = bag.first(topic.name).content
    compressed = topic.msgtype == COMPRESSED
    # CompressedImage.format is "16UC1; compressedDepth", "bgr8; jpeg compressed bgr8" or just "jpeg".
    encoding = message.format.split(";")[0].strip() if compressed else message.encoding
    return ImageTopic(topic.name, encoding, compressed, topic.messages, _nanoseconds(message.header.stamp))


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)
