"""A recording's frames: paired and, where depth has to be registered, located as the node does it.

with read_frames(open_source(path, modalities, options, notes), modalities, options, notes) as frames:
    for frame in frames:
        result = segmenter.segment(frame.images, geometry=frame.geometry)
frames.tally  # what became of the images
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asymfusion_ros.data.camera_model import CameraModel, fitted
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import reference_name
from asymfusion_ros.errors import ConfigError, ImageError
from asymfusion_ros.messages.fields import Header
from asymfusion_ros.messages.geometry import FrameGeometry
from asymfusion_ros.messages.measured import read_measured
from asymfusion_ros.messages.stamped_image import StampedImage
from asymfusion_ros.recordings.recording import NANOSECONDS
from asymfusion_ros.replay.bag_source import BagSource
from asymfusion_ros.replay.built_in_source import NAME, BuiltInSource
from asymfusion_ros.replay.folder_source import FolderSource, is_folder
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.read_ahead import ReadAhead
from asymfusion_ros.replay.source import Source
from asymfusion_ros.replay.tally import Tally
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.frame_maker import FrameMaker
from asymfusion_ros.stream.lateness import Late
from asymfusion_ros.stream.pairing import stamp_nanoseconds

SKIPPED = "a frame was skipped"
AHEAD = 4  # frames that are read and decoded while one is segmented
ALWAYS = float("inf")  # of a fault's patience: in a recording nothing comes later


@dataclass(frozen=True)
class RecordedFrame:
    """The images of one instant, as Segmenter.segment takes them.

    number: of the recording's frames, from 0, those without a usable image counted too. stamp: of the
    reference image (rgb, or the first that is there), nanoseconds, and header, its message's. time: of the
    arrival that completed the frame, nanoseconds. images: those that are of use, by modality, in the
    network's order. stamps, frame_ids: theirs. geometry: Segmenter.segment's, or None where depth is used as
    it is. camera: the reference image's, fitted to its size, or None where it is not known. messages: what
    the images were made of, with their topics, as rosbags gives them (None of a folder).
    """

    number: int
    stamp: int
    time: int
    header: Header
    images: Mapping[str, RawImage]
    stamps: Mapping[str, int]
    frame_ids: Mapping[str, str]
    geometry: Geometry | None
    camera: CameraModel | None
    messages: Mapping[str, tuple[str, Any]] = field(default_factory=dict)

    @property
    def frame_id(self) -> str:
        """Of the reference image."""
        return self.header.frame_id


def open_source(
    path: Path,
    modalities: Sequence[Modality],
    options: ReadOptions,
    notes: Notes,
    split: str | None = None,
    rate: float = 30.0,
) -> Source:
    """The images of a bag; of a folder of PNGs, whose are ``split`` and ``rate``; or of the built-in
    recording, by its name. Raises UserError."""
    if str(path) == NAME and not path.exists():
        return BuiltInSource(modalities, options, notes)
    if is_folder(path):
        return FolderSource(path, modalities, options, notes, split, rate)
    if split is not None:
        raise ConfigError(f"--split {split} goes with a folder, and {path} is a bag: leave it out")
    return BagSource(path, modalities, options, notes)


class Frames:
    """The frames of ``source`` for a network of ``modalities``, in order. ``notes`` gets what is to be said.

    Iterating reads and decodes; ``tally`` counts, up to the frame that was given last. ``skip``: this many
    frames are paired but not decoded, and not given; ``wanted``: nor are those of other numbers.
    """

    def __init__(
        self,
        source: Source,
        modalities: Sequence[Modality],
        options: ReadOptions,
        notes: Notes,
        points: bool = False,
        skip: int = 0,
        wanted: Callable[[int], bool] = lambda number: True,
    ) -> None:
        self.source = source
        self.tally = Tally(source.topics, options.slop)
        self._modalities = {m.name: m for m in modalities if m.name in source.topics}
        self._options = options
        self._notes = notes
        self._points = points
        self._skip = skip
        self._wanted = wanted
        ranges = [name for name, modality in self._modalities.items() if modality.kind == "range"]
        self._geometry = FrameGeometry(ranges, source.infos, options.depth_to_rgb, source.transforms, notes)
        self._geometry.without_points = "there is no cloud"

    def __iter__(self) -> Iterator[RecordedFrame]:
        pairing = _Pairing(self._notes, self.tally)
        maker: FrameMaker[_Waiting] | None = None
        start, now, number = 0, 0.0, 0
        for arrival in self.source:
            if maker is None:
                start = arrival.time
                maker = self._maker(pairing)
            before, now = now, max(now, (arrival.time - start) / NANOSECONDS)
            if isinstance(arrival.image, str):
                topic = self.source.topics[arrival.modality]
                self._notes.once((arrival.modality, "refused"), f"{topic}: image skipped: {arrival.image}")
                self.tally.refused(arrival.modality, arrival.image)
                maker.refuse(arrival.modality, now, arrival.image)
                continue
            # As the node's timer does it, while nothing comes.
            if self._options.missing_after and now - before > self._options.missing_after:
                maker.follow_missing(before + self._options.missing_after)
            image = arrival.image
            self.tally.arrived(arrival.modality, stamp_nanoseconds(image.header.stamp), arrival.time)
            waiting = _Waiting(image, arrival.topic, arrival.message)
            maker.add(arrival.modality, now, waiting, arrival.size)
            for made in pairing.take():
                yield from self._frame(number, arrival.time, made)
                number += 1
        if maker is not None and self._options.missing_after:
            maker.follow_missing(now + self._options.missing_after)
            for made in pairing.take():
                yield from self._frame(number, start + int(now * NANOSECONDS), made)
                number += 1
        if maker is not None:
            self.tally.waiting([name for name, _ in maker.waiting()])

    def _maker(self, pairing: _Pairing) -> FrameMaker[_Waiting]:
        options = self._options
        return FrameMaker(
            list(self._modalities),
            options.slop,
            options.queue_size,
            options.missing_after,
            0.0,
            Counters(),
            pairing,
        )

    def _frame(self, number: int, time: int, made: Mapping[str, _Waiting]) -> Iterator[RecordedFrame]:
        """The frame, or none where it is skipped or of no use."""
        if number < self._skip or not self._wanted(number):
            return
        frame = {name: waiting.image for name, waiting in made.items()}
        try:
            images, faults = read_measured(frame, self._modalities, self.source.topics)
        except ImageError as error:
            self.tally.failed += 1
            self._notes.once("failed", f"{SKIPPED}: {error}")
            return
        for name, line in faults.items():
            self._notes.once((name, "invalid"), line)
        base = reference_name(images)
        geometry = self._geometry.of(frame, images, self._points)
        for what, line in self._geometry.faults(ALWAYS).items():
            self._notes.once((what, "geometry"), line)
        header = frame[base].header
        yield RecordedFrame(
            number,
            stamp_nanoseconds(header.stamp),
            time,
            header,
            images,
            {name: stamp_nanoseconds(frame[name].header.stamp) for name in images},
            {name: frame[name].header.frame_id for name in images},
            geometry,
            self._camera(base, images[base]),
            {name: (made[name].topic, made[name].message) for name in images},
        )

    def _camera(self, base: str, image: RawImage) -> CameraModel | None:
        info = self.source.infos.get(base)
        if info is None or info.model is None:
            return None
        try:
            return fitted(info.model, image.width, image.height)
        except ImageError as error:
            self._notes.once((base, "camera"), str(error))
            return None


def read_frames(
    source: Source,
    modalities: Sequence[Modality],
    options: ReadOptions,
    notes: Notes,
    points: bool = False,
    skip: int = 0,
) -> AheadFrames:
    """Frames that are read and decoded in a thread of their own; see Frames."""
    return AheadFrames(Frames(source, modalities, options, notes, points, skip))


class AheadFrames(ReadAhead[RecordedFrame]):
    """``frames``, read ahead; ``tally``: theirs, whole once all have been given."""

    def __init__(self, frames: Frames) -> None:
        super().__init__(frames, AHEAD)
        self.tally = frames.tally
        self.source = frames.source


@dataclass(frozen=True)
class _Waiting:
    """An image that waits for its partners."""

    image: StampedImage
    topic: str
    message: Any

    @property
    def header(self) -> Header:
        """The image's."""
        return self.image.header


class _Pairing:
    """Collects what FrameMaker makes."""

    def __init__(self, notes: Notes, tally: Tally) -> None:
        self._notes = notes
        self._tally = tally
        self._made: list[dict[str, _Waiting]] = []

    def take(self) -> list[dict[str, _Waiting]]:
        """Those since the last call."""
        made, self._made = self._made, []
        return made

    def on_frame(self, frame: dict[str, _Waiting]) -> None:
        """See Listener."""
        self._made.append(frame)
        self._tally.framed({name: stamp_nanoseconds(one.header.stamp) for name, one in frame.items()})

    def on_jump(self, name: str, jump: int) -> None:
        """See Listener."""
        way = "back" if jump < 0 else "ahead"
        line = f"stamps of {name} jumped {way} by {abs(jump) / NANOSECONDS:.3g} s"
        self._notes.once((name, "jump", way), line)

    def on_late(self, late: Late) -> None:
        """See Listener."""
        alike = "the same stamp" if late.equal else "nearly the same stamp: do the cameras' clocks agree?"
        line = f"images of {late.name} come {late.seconds:.2g} s after those of {late.partner} with {alike}"
        self._notes.once((late.name, "late"), line)

    def on_change(self, before: Sequence[str], available: Sequence[str], now: float) -> None:
        """See Listener."""
        which = f"{' and '.join(available)} only" if len(available) < len(self._tally.topics) else "all again"
        self._notes.once(("available", *available), f"after {now:.1f} s: frames of {which}")
