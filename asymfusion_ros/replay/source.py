"""What frames are made from: the images of a bag or a folder in the order in which they arrived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from asymfusion_ros.messages.camera_info import LatestCameraInfo
from asymfusion_ros.messages.stamped_image import StampedImage
from asymfusion_ros.messages.transforms import FixedFrames


@dataclass(frozen=True)
class Arrival:
    """An image as it arrived.

    time: nanoseconds. image: checked, or why it can't be used. size: its bytes. message: what it was made
    of, as rosbags gives it (None of a folder), and topic, its topic.
    """

    modality: str
    time: int
    image: StampedImage | str
    size: int
    message: Any = None
    topic: str = ""


class Source(Protocol):
    """A recording's images, in the order in which they arrived; it can be iterated again.

    name: what its outputs are called. title: a line for the user. topics: each modality's topic (or folder),
    in the network's order, of those that the recording has. images: how many of each. lost: what a bag that
    was cut off has lost, or empty. infos, transforms: of the cameras, as far as is known by the image that
    was given last. fixed: the messages of /tf_static.
    """

    name: str
    title: str
    topics: Mapping[str, str]
    images: Mapping[str, int]
    lost: str
    infos: Mapping[str, LatestCameraInfo]
    transforms: FixedFrames
    fixed: Sequence[Any]

    def __iter__(self) -> Iterator[Arrival]: ...
