"""The frames that `asymfusion tune` tries on, with their labels where a data set has them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from asymfusion_ros.cli.reading import read_options
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.replay.folder_source import FolderSource
from asymfusion_ros.replay.frames import RecordedFrame, open_source, read_frames
from asymfusion_ros.replay.labels import Label, checked
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.source import Source
from asymfusion_ros.tuning.trials import Frame


def tune_frames(
    args: argparse.Namespace,
    modalities: Sequence[Modality],
    classes: LabelSet,
    bar: Callable[[Iterable[Any], str, int], Iterable[Any]],
) -> list[Frame]:
    """Of the recording, evenly spread; all with the modalities of the first. Depth is taken as it is: to
    register it takes every way the same time. Raises UserError."""
    options, notes = read_options(args), Notes()
    source = open_source(args.recording, modalities, options, notes, args.split, args.rate)
    total = max(source.images.values(), default=0)
    step = max(1, total // args.frames)
    found: list[Frame] = []
    with read_frames(source, modalities, options, notes) as frames:
        for frame in bar(frames, "read", total):
            if frame.number % step == 0 and (not found or frame.images.keys() == found[0].images.keys()):
                found.append(Frame(dict(frame.images), _label(source, frame, classes)))
            if len(found) == args.frames:
                break
    if not found:
        raise ConfigError(f"{args.recording} has no frame of the checkpoint's modalities")
    return found


def _label(source: Source, frame: RecordedFrame, classes: LabelSet) -> Label | None:
    """Of a folder with dataset.yaml and the checkpoint's classes, where the frame has one."""
    data = source.data_set if isinstance(source, FolderSource) else None
    if not isinstance(source, FolderSource) or data is None or not data.labelled:
        return None
    name = source.frame_name(next(iter(frame.images)), frame.stamp)
    path = data.label_path(name)
    if data.labels.names != classes.names or not path.is_file():
        return None
    return checked(data.read_label(name), frame, len(classes), str(path))
