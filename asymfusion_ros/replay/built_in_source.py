"""The built-in recording as a source, for who has no bag at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.messages.camera_info import LatestCameraInfo
from asymfusion_ros.messages.stamped_image import StampedImage
from asymfusion_ros.messages.transforms import FixedFrames
from asymfusion_ros.recordings.recording import NANOSECONDS, Calibration, RecordedImage
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.source import Arrival

NAME = "motorcycle"
START = 100 * NANOSECONDS  # of its stamps
RATE, SECONDS = 15.0, 10.0


class BuiltInSource:
    """See Source. Ten seconds of MotorcycleRecording. Raises ConfigError where scikit-image is missing."""

    def __init__(self, modalities: Sequence[Modality], options: ReadOptions, notes: Notes) -> None:
        try:
            from asymfusion_ros.recordings.motorcycle import MotorcycleRecording

            self._recording = MotorcycleRecording(RATE, options.seconds or SECONDS)
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"the recording {NAME} needs {error.name}, which is not installed: pip install "
                "'asymfusion_ros[demo]'"
            ) from error
        names = [modality.name for modality in modalities if modality.name in self._recording.images]
        if not names:
            wanted = " or ".join(modality.name for modality in modalities)
            raise ConfigError(f"the recording {NAME} has rgb and depth, no images of {wanted}")
        self.name, self.title, self.lost = NAME, self._recording.title, ""
        self.topics: Mapping[str, str] = {name: f"/{image_topic(name)}" for name in names}
        self.images: Mapping[str, int] = {name: self._recording.images[name] for name in names}
        self._info = LatestCameraInfo("/rgb/camera_info", True, Notes())  # it pans: its camera always changes
        self.infos: Mapping[str, LatestCameraInfo] = dict.fromkeys(names, self._info)
        self.transforms = FixedFrames(notes)
        self.fixed: Sequence[Any] = ()

    def __iter__(self) -> Iterator[Arrival]:
        for image in self._recording:
            if image.modality not in self.topics:
                continue
            if image.calibration is not None:
                self._info.take(_camera_info(image.calibration, image.frame_id))
            time = START + image.due
            seconds, nanoseconds = divmod(START + image.stamp, NANOSECONDS)
            stamp = SimpleNamespace(sec=seconds, nanosec=nanoseconds)
            header = SimpleNamespace(stamp=stamp, frame_id=image.frame_id)
            stamped = StampedImage(header, partial(_raw, image))
            yield Arrival(image.modality, time, stamped, image.data.size, None, self.topics[image.modality])


def _raw(image: RecordedImage) -> RawImage:
    return RawImage(image.data, image.height, image.width, image.encoding, image.step, image.bigendian)


def _camera_info(calibration: Calibration, frame_id: str) -> Any:
    """sensor_msgs/CameraInfo, as far as it is read."""
    stamp = SimpleNamespace(sec=0, nanosec=0)
    return SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id=frame_id),
        width=calibration.width,
        height=calibration.height,
        k=calibration.k,
        d=calibration.d,
        r=calibration.r,
        p=calibration.p,
        distortion_model=calibration.distortion_model,
        binning_x=0,
        binning_y=0,
        roi=SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0),
    )
