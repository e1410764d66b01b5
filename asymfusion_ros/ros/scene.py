"""What travels from a camera through the network to the outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.data.pictures import picture
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import HostResult, reference_name
from asymfusion_ros.messages.fields import Header, Message


@dataclass(frozen=True)
class Scene:
    """A segmented frame.

    header: of the reference image, for every output. images: those that were segmented, by modality, and
    modalities: what they are. result: labels (and confidence, where an output needs it), H x W uint8 on the
    host. palette: 256 x 3 uint8 RGB. camera_info: sensor_msgs/CameraInfo of the reference camera; None where
    it is not known.
    """

    header: Header
    images: Mapping[str, RawImage]
    modalities: Mapping[str, Modality]
    result: HostResult
    palette: npt.NDArray[np.uint8]
    camera_info: Message | None = None

    @property
    def picture(self) -> npt.NDArray[np.uint8]:
        """H x W x 3 RGB: the reference image, which the labels lie over."""
        name = reference_name(self.images)
        return picture(self.images[name], self.modalities[name])

    @cached_property
    def colours(self) -> npt.NDArray[np.uint8]:
        """H x W x 3 RGB: each pixel in its class's colour. Made once, whatever number of outputs show it."""
        # OpenCV's table takes three values for one, whatever they are called; a third of np.take's time.
        return cv2.applyColorMap(self.result.labels, self.palette[:, None]).astype(np.uint8, copy=False)


@dataclass(frozen=True)
class TranslatedScene:
    """A translated frame. header: of the reference image. image: H x W x 3 uint8 RGB on the host."""

    header: Header
    image: npt.NDArray[np.uint8]
