"""The labels of a recording's frames: from a topic of the bag, or from a folder of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.image_file import read_image
from asymfusion_ros.data.labels import VOID, LabelSet
from asymfusion_ros.data.modality import Modality, Scalar
from asymfusion_ros.errors import ImageError, UserError
from asymfusion_ros.messages.compressed import CompressedDecoder
from asymfusion_ros.messages.raw import RawDecoder
from asymfusion_ros.recordings.bag import COMPRESSED
from asymfusion_ros.recordings.bag_file import BagFile, BagMessage
from asymfusion_ros.recordings.recording import NANOSECONDS
from asymfusion_ros.replay.files import natural, stamp_in, stamp_name
from asymfusion_ros.replay.folder_source import file_name
from asymfusion_ros.replay.frames import Frames, RecordedFrame
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.source import Source
from asymfusion_ros.stream.pairing import stamp_nanoseconds
from asymfusion_ros.stream.stamps import nearest

Label = npt.NDArray[np.uint8]
LABEL = Scalar("label", "label", unit=1.0)
ALL = 1 << 62  # frames to skip: pairing alone


class LabelSource(Protocol):
    """Gives the frames' labels, in the order of the frames."""

    def match(self, frames: Sequence[tuple[int, str]]) -> None:
        """To be called first, with the stamps and the names of all frames. Raises UserError where the labels
        are not theirs."""

    def of(self, frame: RecordedFrame, name: str) -> Label | None:
        """H x W, void 255; None where the frame has none. ``name``: of the frame's files, in a folder."""

    def close(self) -> None:
        """No further label is asked for."""


class TopicLabels:
    """The labels on a topic of a bag: mono8 or 8UC1, or as PNG; class indices, 255 for void. Each is that
    of the frame with its stamp. Raises RecordingError as BagFile does.
    """

    def __init__(self, bag: Path, topic: str, classes: int) -> None:
        self._topic = topic
        self._classes = classes
        self._bag = BagFile(bag).__enter__()
        self._begin()
        compressed = self._next is not None and self._next.msgtype == COMPRESSED
        self._decoder: Any = (CompressedDecoder if compressed else RawDecoder)(lambda line: None)

    def match(self, frames: Sequence[tuple[int, str]]) -> None:
        """See LabelSource."""
        stamps = {stamp for stamp, _ in frames}
        found = [self._stamp(message) for message in self._bag.messages([self._topic])]
        if stamps and not stamps.intersection(found):
            ordered = sorted(stamps)
            away = min(abs(nearest(ordered, stamp) - stamp) for stamp in found) / NANOSECONDS
            raise UserError(
                f"none of the {len(found)} labels of {self._topic} has the stamp of a frame (the nearest is "
                f"{away:.6f} s away): a label has the stamp of the image that it is of"
            )

    def _begin(self) -> None:
        self._messages: Iterator[BagMessage] = self._bag.messages([self._topic])
        self._next = next(self._messages, None)

    def of(self, frame: RecordedFrame, name: str) -> Label | None:
        """See LabelSource."""
        while self._next is not None and self._stamp(self._next) < frame.stamp:
            self._next = next(self._messages, None)
        if self._next is None or self._stamp(self._next) != frame.stamp:
            return None
        where = f"the label of {self._topic} stamped {frame.stamp / NANOSECONDS:.3f} s"
        try:
            message = self._next.content
            if getattr(message, "encoding", "") == "8UC1":
                message.encoding = "mono8"
            image = self._decoder.decode(message, LABEL).read()
            if image.encoding != "mono8":
                raise ImageError(f"its encoding is {image.encoding}: labels are mono8, class indices")
        except ImageError as error:
            raise UserError(f"{where} cannot be used: {error}") from error
        return checked(np.array(image.pixels(), np.uint8), frame, self._classes, where)

    def close(self) -> None:
        """See LabelSource."""
        self._bag.__exit__()

    @staticmethod
    def _stamp(message: BagMessage) -> int:
        return stamp_nanoseconds(message.content.header.stamp)


class FolderLabels:
    """8-bit PNGs of class indices, 255 for none (or what the dataset.yaml of their data set says).

    Called by stamps, they are of the frames with those; else by the names of the frames' own files, where the
    recording is a folder; else they are of the frames one after another, and there have to be as many.
    """

    def __init__(self, folder: Path, labels: LabelSet) -> None:
        """``labels``: what they are to mean. Raises UserError for a folder without any, or in a data set of
        other classes."""
        self._folder = folder
        self._classes = len(labels)
        self._void = VOID
        if (folder.parent / "dataset.yaml").is_file():
            data = Folder(folder.parent)
            self._void = data.void
            if data.labels.names != labels.names:
                raise UserError(
                    f"--labels-dir {folder} has the classes {data.labels.name}, but the checkpoint has "
                    f"{labels.name}: score it on data with its own classes"
                )
        paths = {str(path.relative_to(folder).with_suffix("")): path for path in folder.rglob("*.png")}
        if not paths:
            raise UserError(f"--labels-dir {folder} has no PNGs: give a folder of 8-bit class indices")
        self._paths = dict(sorted(paths.items(), key=lambda item: natural(item[0])))
        stamps = {name: stamp_in(name) for name in self._paths}
        self._by_stamp = {stamp: self._paths[name] for name, stamp in stamps.items() if stamp is not None}

    def match(self, frames: Sequence[tuple[int, str]]) -> None:
        """See LabelSource."""
        if any(stamp in self._by_stamp for stamp, _ in frames):
            return
        if any(name in self._paths for _, name in frames):
            self._by_stamp = {stamp: self._paths[name] for stamp, name in frames if name in self._paths}
            return
        if len(frames) != len(self._paths):
            raise UserError(
                f"--labels-dir {self._folder} has {len(self._paths)} labels, but the recording has "
                f"{len(frames)} frames: give as many, or call each file by its frame's stamp "
                f"({stamp_name(frames[0][0]) if frames else 0}.png)"
            )
        self._by_stamp = {stamp: path for (stamp, _), path in zip(frames, self._paths.values(), strict=True)}

    def of(self, frame: RecordedFrame, name: str) -> Label | None:
        """See LabelSource."""
        path = self._by_stamp.get(frame.stamp)
        if path is None:
            return None
        label = read_image(path, cv2.IMREAD_UNCHANGED)
        if label.ndim != 2 or label.dtype != np.uint8:
            raise UserError(f"{path} is not an 8-bit image of one channel holding class indices")
        if self._void != VOID:
            label = np.where(label == self._void, np.uint8(VOID), label)
        return checked(label, frame, self._classes, str(path))

    def close(self) -> None:
        """See LabelSource."""


def open_labels(
    source: Source,
    modalities: Sequence[Modality],
    classes: LabelSet,
    path: Path,
    options: ReadOptions,
    folder: Path | None,
) -> LabelSource | None:
    """The labels of the frames of ``source``, a bag or folder at ``path``: from the topic that ``options``
    names, or from ``folder``; None where there is neither. ``classes``: what they are to mean. Raises
    UserError where they are not the frames'."""
    labels: LabelSource
    if options.labels is not None:
        labels = TopicLabels(path, options.labels, len(classes))
    elif folder is not None:
        labels = FolderLabels(folder, classes)
    else:
        return None
    pairing = Frames(source, modalities, options, Notes(), skip=ALL)
    for _ in pairing:
        raise AssertionError("all frames are skipped")
    references = pairing.tally.references
    if references:  # else there is more to say of the images than of their labels
        labels.match([(stamp, file_name(source, base, stamp)) for base, stamp in references])
    return labels


def checked(label: Label, frame: RecordedFrame, classes: int, where: str) -> Label:
    """The label. Raises UserError where it is of another size than the frame, or has values that are no
    class."""
    image = frame.images["rgb"] if "rgb" in frame.images else next(iter(frame.images.values()))
    (height, width), size = label.shape, (image.height, image.width)
    if (height, width) != size:
        raise UserError(
            f"{where} is {width}x{height}, but its frame is {size[1]}x{size[0]}: labels have the size of the "
            "image that they are of"
        )
    beyond = (label >= classes) & (label != VOID)
    if beyond.any():
        raise UserError(
            f"{where} has label {label[beyond][0]}, but the checkpoint has classes 0 to {classes - 1}, and "
            f"void is {VOID}"
        )
    return label
