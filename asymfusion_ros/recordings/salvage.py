"""What is whole in a recording that was cut off: a camera's disk was full, or its power failed.

Such a bag lacks its index, which is written last: no ``metadata.yaml``, a ROS 1 bag or MCAP file that ends in
the middle. Its records are read here from the beginning, as far as they go.
Formats: wiki.ros.org/Bags/Format/2.0, mcap.dev/spec, and rosbag2's tables ``topics`` and ``messages``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import apsw
from rosbags.rosbag1.reader import decompressors as decompress_ros1
from rosbags.rosbag2.storage_mcap import DECOMPRESSORS as DECOMPRESS_MCAP
from rosbags.typesys.msg import normalize_msgtype

from asymfusion_ros.errors import DAMAGED

ROS1_MAGIC, MCAP_MAGIC, SQLITE_MAGIC = b"#ROSBAG V2.0\n", b"\x89MCAP0\r\n", b"SQLite format 3\0"
LARGEST = 1 << 30  # bytes of a record; a damaged length can be anything


@dataclass(frozen=True)
class Record:
    """A message as it was recorded. time: of arrival, nanoseconds."""

    topic: str
    msgtype: str
    time: int
    data: bytes


@dataclass
class End:
    """How far a scan came: bytes of the files that hold no whole message, and what ended it."""

    lost: int = 0
    why: str = ""


@dataclass
class _Channels:
    """topics: name and type of each channel. types: of each MCAP schema."""

    topics: dict[int, tuple[str, str]] = field(default_factory=dict)
    types: dict[int, str] = field(default_factory=dict)


class _Scan(Protocol):
    def __call__(self, path: Path, end: End) -> Iterator[Record]: ...


def bag_files(path: Path) -> list[Path]:
    """The files of a bag's messages, in the order in which they were written."""
    if path.is_file():
        return [path]
    found = [file for file in path.iterdir() if file.suffix in (".db3", ".mcap") and file.is_file()]
    return sorted(found, key=lambda file: [int(word) for word in re.findall(r"\d+", file.stem)[-1:]])


def scan(path: Path, end: End) -> Iterator[Record]:
    """The whole messages of a bag, in the order in which they arrived; ``end`` says what is lost.

    Raises OSError where a file cannot be opened.
    """
    for file in bag_files(path):
        with file.open("rb") as opened:
            head = opened.read(16)
        scans: dict[bytes, _Scan] = {ROS1_MAGIC: _ros1, MCAP_MAGIC: _mcap, SQLITE_MAGIC: _sqlite}
        for magic, scanner in scans.items():
            if head.startswith(magic):
                yield from scanner(file, end)
                break
        else:
            end.lost += file.stat().st_size
            end.why = f"{file.name} is of no known format"


def is_ros1_bag(path: Path) -> bool:
    """Whether a path is a bag of ROS 1 and not of ROS 2, which may be a single file too."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(ROS1_MAGIC)) == ROS1_MAGIC


def lacks_pages(path: Path) -> bool:
    """Whether a file of SQLite's ends before its last page: its index is whole then, and leads nowhere."""
    for file in bag_files(path):
        with file.open("rb") as opened:
            head = opened.read(100)
        if head.startswith(SQLITE_MAGIC) and len(head) == 100:
            page = int.from_bytes(head[16:18], "big")
            pages = int.from_bytes(head[28:32], "big")
            if file.stat().st_size < (65536 if page == 1 else page) * pages:
                return True
    return False


class _CutOff(Exception):
    """The rest of a file or chunk is no whole record."""


def _take(file: BinaryIO, size: int) -> bytes:
    data = file.read(size) if 0 <= size <= LARGEST else b""
    if len(data) < size:
        raise _CutOff
    return data


def _number(data: bytes, at: int, size: int) -> int:
    part = data[at : at + size]
    if len(part) < size:
        raise _CutOff
    return int.from_bytes(part, "little")


def _sized(data: bytes, at: int, size: int = 4) -> tuple[bytes, int]:
    """Bytes after their own length, a number of ``size`` bytes; and where they end."""
    start = at + size
    stop = start + _number(data, at, size)
    if stop > len(data):
        raise _CutOff
    return data[start:stop], stop


def _ros1(path: Path, end: End) -> Iterator[Record]:
    channels = _Channels()
    with path.open("rb") as file:
        file.seek(len(ROS1_MAGIC))
        whole, size = file.tell(), path.stat().st_size
        while whole < size:
            try:
                header = _ros1_fields(_take(file, _number(_take(file, 4), 0, 4)))
                length = _number(_take(file, 4), 0, 4)
                body = file.read(length) if length <= LARGEST else b""
                complete = len(body) == length
                op = header.get("op")
                if op == b"\x05":
                    compression = header.get("compression", b"").decode()
                    if complete or compression == "none":  # what is compressed is whole or nothing
                        yield from _ros1_records(decompress_ros1[compression](body), channels)
                elif complete:
                    yield from _ros1_record(header, body, channels)
                if not complete:
                    raise _CutOff
            except (_CutOff, *DAMAGED):
                break
            whole = file.tell()
        _ended(path, size - whole, end)


def _ros1_fields(data: bytes) -> dict[str, bytes]:
    fields, at = {}, 0
    while at < len(data):
        one, at = _sized(data, at)
        name, _, value = one.partition(b"=")
        fields[name.decode()] = value
    return fields


def _ros1_records(data: bytes, channels: _Channels) -> Iterator[Record]:
    at = 0
    while at < len(data):
        try:
            header, at = _sized(data, at)
            body, at = _sized(data, at)
        except _CutOff:
            return
        yield from _ros1_record(_ros1_fields(header), body, channels)


def _ros1_record(header: dict[str, bytes], body: bytes, channels: _Channels) -> Iterator[Record]:
    op = header.get("op")
    if op == b"\x07":
        about = _ros1_fields(body)
        kind = normalize_msgtype(about["type"].decode())
        channels.topics[_number(header["conn"], 0, 4)] = (header["topic"].decode(), kind)
    elif op == b"\x02":
        channel = _number(header["conn"], 0, 4)
        if channel in channels.topics:
            seconds, nanoseconds = struct.unpack("<II", header["time"])
            yield Record(*channels.topics[channel], seconds * 10**9 + nanoseconds, body)


def _mcap(path: Path, end: End) -> Iterator[Record]:
    channels = _Channels()
    with path.open("rb") as file:
        file.seek(len(MCAP_MAGIC))
        whole, size = file.tell(), path.stat().st_size
        while whole < size:
            try:
                op, length = struct.unpack("<BQ", _take(file, 9))
                if op in (0x02, 0x0F):  # footer, end of the data: only the index follows
                    return
                body = file.read(length) if length <= LARGEST else b""
                complete = len(body) == length
                if op == 0x06:
                    yield from _mcap_chunk(body, channels, complete)
                elif complete:
                    yield from _mcap_record(op, body, channels)
                if not complete:
                    raise _CutOff
            except (_CutOff, *DAMAGED):
                break
            whole = file.tell()
        _ended(path, size - whole, end)


def _mcap_chunk(body: bytes, channels: _Channels, complete: bool) -> Iterator[Record]:
    size = _number(body, 16, 8)
    compression, at = _sized(body, 28)
    if complete and size <= LARGEST:
        records, _ = _sized(body, at, 8)
        data = DECOMPRESS_MCAP[compression.decode()](records, size)
    elif compression:  # what is compressed is whole or nothing
        return
    else:
        data = body[at + 8 :]
    at = 0
    while at < len(data):
        try:
            op = data[at]
            record, at = _sized(data, at + 1, 8)
        except _CutOff:
            return
        yield from _mcap_record(op, record, channels)


def _mcap_record(op: int, body: bytes, channels: _Channels) -> Iterator[Record]:
    if op == 0x03:
        channels.types[_number(body, 0, 2)] = _sized(body, 2)[0].decode()
    elif op == 0x04:
        kind = channels.types.get(_number(body, 2, 2), "")
        channels.topics[_number(body, 0, 2)] = (_sized(body, 4)[0].decode(), kind)
    elif op == 0x05:
        channel = _number(body, 0, 2)
        if channel in channels.topics:
            yield Record(*channels.topics[channel], _number(body, 6, 8), body[22:])


def _sqlite(path: Path, end: End) -> Iterator[Record]:
    """rosbag2's tables, without what a journal beside the file would change: it may be cut off too."""
    try:
        database = apsw.Connection(
            f"file:{path}?immutable=1",
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
            vfs=_whole_pages().vfs_name,
        )
        database.execute("PRAGMA writable_schema=ON")  # or a file with fewer pages than it says is refused
        topics = {row[0]: (row[1], row[2]) for row in database.execute("SELECT id, name, type FROM topics")}
        for topic, time, data in database.execute(
            "SELECT topic_id, timestamp, data FROM messages ORDER BY id"
        ):
            if topic in topics:
                yield Record(*topics[topic], time, data)
    except (apsw.Error, *DAMAGED) as error:
        end.why = f"{path.name}: {error}"


class _WholePages(apsw.VFS):
    """Files without the page that they end in the middle of: SQLite would fill it up with zeros."""

    vfs_name = "asymfusion-whole-pages"

    class File(apsw.VFSFile):
        """One of them, read only."""

        def __init__(self, name: Any, flags: list[int]) -> None:
            super().__init__("", name, flags)

        def xFileSize(self) -> int:
            """The pages that are whole."""
            size = super().xFileSize()
            page = int.from_bytes(self.xRead(2, 16), "big") if size >= 18 else 1
            return size - size % (65536 if page == 1 else max(page, 1))

    def __init__(self) -> None:
        super().__init__(self.vfs_name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        """The file called ``name``."""
        return self.File(name, flags)


@cache
def _whole_pages() -> _WholePages:
    return _WholePages()


def _ended(path: Path, lost: int, end: End) -> None:
    if lost:
        end.lost += lost
        end.why = f"{path.name} ends in the middle, or is damaged there"
