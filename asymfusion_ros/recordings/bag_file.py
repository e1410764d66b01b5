"""A bag's topics and messages, by its index, or by its records where it was cut off before it had one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.rosbag1 import ReaderError as ReaderError1
from rosbags.rosbag2 import ReaderError as ReaderError2
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from asymfusion_ros.data.text_file import one_line
from asymfusion_ros.errors import DAMAGED
from asymfusion_ros.recordings.recording import RecordingError
from asymfusion_ros.recordings.salvage import End, is_ros1_bag, lacks_pages, scan

# What rosbags and SQLite raise for a bag that is damaged; rosbags' parsers raise Python's own errors too.
UNREADABLE = (
    AnyReaderError, ReaderError1, ReaderError2, SerdeError, TypesysError, apsw.Error, *DAMAGED
)  # fmt: skip

TF = "tf2_msgs/msg/TFMessage"


@dataclass(frozen=True)
class BagTopic:
    """msgtype: as ROS 2 names it (sensor_msgs/msg/Image). messages: how many."""

    name: str
    msgtype: str
    messages: int


@dataclass(frozen=True)
class BagMessage:
    """time: of arrival, nanoseconds. content: what rosbags makes of it."""

    topic: str
    msgtype: str
    time: int
    content: Any


class BagFile:
    """A context manager. topics: by name, of those with messages. end: the time after the last message.

    lost: what is not there of a bag that was cut off, empty for one that is whole.
    """

    def __init__(self, path: Path) -> None:
        """Raises RecordingError for a bag that is missing, and on entering for one with nothing in it."""
        self.path = path
        self.topics: dict[str, BagTopic] = {}
        self.end = 0
        self.lost = ""
        self._reader: AnyReader | None = None
        self._stack = ExitStack()

    def __enter__(self) -> BagFile:
        with self._errors():
            if not self.path.exists():
                raise RecordingError(f"{self.path} does not exist: give a .bag file or a ROS 2 bag's folder")
        try:
            if lacks_pages(self.path):
                raise AnyReaderError("its file of SQLite's ends too soon")
            # Bags of Humble and before carry no message definitions of their own.
            store = get_typestore(Stores.ROS2_HUMBLE)
            self._reader = self._stack.enter_context(AnyReader([self.path], default_typestore=store))
            self.topics = {
                name: BagTopic(name, info.msgtype, info.msgcount)
                for name, info in self._reader.topics.items()
                if info.msgtype is not None and info.msgcount > 0
            }
            self.end = self._reader.end_time
        except UNREADABLE as error:
            self._reader = None
            self._salvage(error)
        return self

    def __exit__(self, *_: object) -> None:
        with self._errors():
            self._stack.close()

    def messages(self, topics: Collection[str], stop: int | None = None) -> Iterator[BagMessage]:
        """Those of these topics that arrived before ``stop``, in order. Raises RecordingError where the bag
        is damaged."""
        source = self._indexed(topics, stop) if self._reader is not None else self._scanned(topics, stop)
        while True:
            with self._errors():
                message = next(source, None)
            if message is None:
                return
            yield message

    def first(self, topic: str) -> BagMessage:
        """A topic's first message. Raises RecordingError where there is none that can be read."""
        found = next(self.messages([topic]), None)
        if found is None:
            raise RecordingError(f"{self.path} has no message of {topic}, though its index counts some")
        return found

    def _indexed(self, topics: Collection[str], stop: int | None) -> Iterator[BagMessage]:
        assert self._reader is not None
        chosen = [connection for connection in self._reader.connections if connection.topic in topics]
        if not chosen:  # rosbags would take none as all
            return
        for connection, time, raw in self._reader.messages(chosen, stop=stop):
            content = self._reader.deserialize(raw, connection.msgtype)
            yield BagMessage(connection.topic, connection.msgtype, time, content)

    def _scanned(self, topics: Collection[str], stop: int | None) -> Iterator[BagMessage]:
        ros1, ros2 = ros1_types(), get_typestore(Stores.ROS2_HUMBLE)
        is_ros1 = is_ros1_bag(self.path)
        for record in scan(self.path, End()):
            if record.topic in topics and (stop is None or record.time < stop):
                if is_ros1:
                    content = ros1.deserialize_ros1(record.data, record.msgtype)
                else:
                    content = ros2.deserialize_cdr(record.data, record.msgtype)
                yield BagMessage(record.topic, record.msgtype, record.time, content)

    def _salvage(self, refused: BaseException) -> None:
        """What is whole in a bag that its reader refuses. Raises RecordingError where nothing is."""
        counts: dict[str, tuple[str, int]] = {}
        start, count, end = None, 0, End()
        with self._errors():
            for record in scan(self.path, end):
                _, before = counts.get(record.topic, ("", 0))
                counts[record.topic] = record.msgtype, before + 1
                start = record.time if start is None else start
                self.end = max(self.end, record.time + 1)
                count += 1
        if start is None:
            raise RecordingError(
                f"{self.path} cannot be read as a bag: {one_line(refused)}, and no message in it is whole"
            ) from refused
        self.topics = {name: BagTopic(name, *found) for name, found in counts.items()}
        self.lost = (
            f"cut off: {count} whole messages of {(self.end - start) / 1e9:.1f} s are read"
            + (f", {end.lost} bytes at the end are not" if end.lost else "")
            + f" ({one_line(end.why or refused)}; `ros2 bag reindex` or `rosbag reindex` repairs its index)"
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except UNREADABLE as error:
            raise RecordingError(
                f"{self.path} cannot be read as a bag: {one_line(error) or type(error).__name__} "
                "(`ros2 bag reindex` or `rosbag reindex` repairs a recording that was cut off)"
            ) from error


def ros1_types() -> Typestore:
    """The message types of ROS 1: rosbags' own lack /tf_static's."""
    found = get_typestore(Stores.ROS1_NOETIC)
    if TF not in found.types:
        found.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms\n", TF))
    return found
