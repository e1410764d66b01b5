"""A ROS 2 bag of MCAP files that is written file by file: each of them is whole or not there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter, zstd  # type: ignore[attr-defined]  # Python's, or pip's

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.replay.messages import store

LEVEL = 1  # of compression: masks take a quarter of the time of rosbags' 3, and 7 % more room
INFORMATION = "rosbag2_bagfile_information"


def qos(latched: bool = False) -> Qos:
    """Of a topic as the node offers it: reliable, and kept for late subscribers where it is ``latched``."""
    endless = QosTime(2147483647, 4294967295)
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 5,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        endless,
        endless,
        QosLiveliness.AUTOMATIC,
        endless,
        False,
    )


class SplitBag:
    """The bag in ``folder``, whose files are called after it. One file is open at a time; ``finish`` makes it
    a part of the bag, which can be read and played from then on.
    """

    def __init__(self, folder: Path, files: int = 0) -> None:
        """``files``: how many it has already; further ones, and one that was not finished, are removed."""
        self._folder = folder
        make_folder(folder)
        self._writer: Writer | None = None
        self._connections: dict[str, Connection] = {}
        self._files = files
        known = {self._name(number) for number in range(files)}
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.suffix == ".mcap" and path.name not in known:
                path.unlink()
        self._parts = [self._described(number) for number in range(files)]
        if files:
            self._describe()
        else:
            (folder / "metadata.yaml").unlink(missing_ok=True)

    def write(self, topic: str, time: int, message: Any, latched: bool = False) -> None:
        """Adds a message that arrived at ``time``, nanoseconds. Raises OSError."""
        if self._writer is None:
            self._writer = Writer(self._open_folder, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
            self._writer.open()
            assert isinstance(self._writer.storage, McapWriter)
            self._writer.storage.compressor = partial(zstd.compress, level=LEVEL)
            self._connections = {}
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, message.__msgtype__, typestore=store(), offered_qos_profiles=[qos(latched)]
            )
        data = store().serialize_cdr(message, message.__msgtype__)
        self._writer.write(self._connections[topic], time, data)

    def finish(self) -> None:
        """Ends the open file, if there is one. Raises OSError."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        writer.close()
        folder = self._open_folder
        described = yaml.safe_load((folder / "metadata.yaml").read_text())
        os.replace(folder / f"{folder.name}.mcap", self._folder / self._name(self._files))
        write_whole(self._description(self._files), yaml.safe_dump(described).encode())
        shutil.rmtree(folder)
        self._parts.append(described[INFORMATION])
        self._files += 1
        self._describe()

    def abandon(self) -> None:
        """Gives up the open file; those before it stay."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abort()
            shutil.rmtree(self._open_folder, ignore_errors=True)

    @property
    def _open_folder(self) -> Path:
        return self._folder / f"{self._folder.name}_{self._files}"

    def _name(self, number: int) -> str:
        return f"{self._folder.name}_{number}.mcap"

    def _description(self, number: int) -> Path:
        return self._folder / f".{self._folder.name}_{number}.yaml"

    def _described(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load(self._description(number).read_text())[INFORMATION]
        return found

    def _describe(self) -> None:
        """metadata.yaml of all files."""
        whole = {INFORMATION: merged(self._parts)}
        write_whole(self._folder / "metadata.yaml", yaml.safe_dump(whole, sort_keys=False).encode())


def merged(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What metadata.yaml says of a bag whose files are described by ``parts``."""
    starts = [part["starting_time"]["nanoseconds_since_epoch"] for part in parts]
    ends = [start + part["duration"]["nanoseconds"] for start, part in zip(starts, parts)]
    topics: dict[str, dict[str, Any]] = {}
    for part in parts:
        for topic in part["topics_with_message_count"]:
            name = topic["topic_metadata"]["name"]
            before = topics.get(name, {"message_count": 0})["message_count"]
            topics[name] = {**topic, "message_count": topic["message_count"] + before}
    files = []
    for number, part in enumerate(parts):
        ((name,), (described,)) = part["relative_file_paths"], part["files"]
        files.append({**described, "path": name})
        assert name.endswith(f"_{number}.mcap")
    return {
        **parts[0],
        "relative_file_paths": [file["path"] for file in files],
        "starting_time": {"nanoseconds_since_epoch": min(starts)},
        "duration": {"nanoseconds": max(ends) - min(starts)},
        "message_count": sum(part["message_count"] for part in parts),
        "topics_with_message_count": list(topics.values()),
        "files": files,
    }
