"""A frame to published outputs: everything that happens in the inference thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import reference_name
from asymfusion_ros.errors import ImageError, UserError
from asymfusion_ros.ros.log import ThrottledLog, shortened
from asymfusion_ros.ros.network import Network
from asymfusion_ros.ros.outputs.base import Publishers
from asymfusion_ros.ros.scene import Frame, Scene
from asymfusion_ros.stream.counters import Counters

SAMPLED = 16


class FrameSegmenter:
    """Segments frames with ``network`` and publishes what comes out.

    ``modalities``: the network's. ``topics``: the resolved name of each one's topic, for the log.
    """

    def __init__(
        self,
        network: Network,
        modalities: Sequence[Modality],
        publishers: Publishers,
        topics: Mapping[str, str],
        counters: Counters,
        log: ThrottledLog,
    ) -> None:
        self._network = network
        self._modalities = {modality.name: modality for modality in modalities}
        self._publishers = publishers
        self._topics = topics
        self._counters = counters
        self._log = log
        self._palette = network.checkpoint.labels.palette

    def __call__(self, frame: Frame) -> None:
        """Does nothing where nobody subscribes to any output. A frame that can't be used is logged and
        counted; what else goes wrong is raised.
        """
        topics = self._publishers.subscribed()
        if not topics:
            self._counters.unsubscribed += 1
            return
        try:
            self._publishers.publish(topics, self._segment(frame, self._publishers.needs(topics)))
        except UserError as error:
            self._counters.failed += 1
            self._log.warning("failed", f"a frame was skipped: {error}")
        except BaseException:
            self._counters.failed += 1
            raise
        else:
            self._counters.segmented += 1

    def _segment(self, frame: Frame, needs: frozenset[str]) -> Scene:
        images = self._usable(frame)
        self._compare(frame, images)
        result = self._network.segment(images, confidence="confidence" in needs).numpy()
        header = frame[reference_name(images)].header
        return Scene(header, images, self._modalities, result, self._palette)

    def _usable(self, frame: Frame) -> dict[str, RawImage]:
        """The images in which anything was measured. Raises ImageError where there is none."""
        images: dict[str, RawImage] = {}
        reasons = {}
        for name, image in frame.items():
            try:
                raw = image.read()
            except ImageError as error:
                raise ImageError(f"{self._topics[name]}: {error}") from error
            if anything_valid(raw, self._modalities[name]):
                images[name] = raw
            else:
                size = f"{raw.width}x{raw.height}"
                reasons[name] = f"{self._topics[name]}: no pixel of the {size} {name} image is valid"
        for name, reason in reasons.items():
            if not images:
                raise ImageError(f"{reason}, and there is no other image: uncover the {name} camera")
            rest = f"only {next(iter(images))}" if len(images) == 1 else " and ".join(images)
            self._log.warning(
                (name, "invalid"),
                f"{reason}: segmenting {rest}; is the {name} camera covered or too close?",
            )
        return images

    def _compare(self, frame: Frame, images: Mapping[str, RawImage]) -> None:
        base = reference_name(images)
        for name, image in images.items():
            size, wanted = (f"{one.width}x{one.height}" for one in (image, images[base]))
            if size != wanted:
                line = f"{size} {name} is resized to {wanted} {base}"
                self._log.warning_changed((name, "size"), f"{line}: both must show the same view")
            frame_id, wanted = (shortened(frame[one].header.frame_id, 100) for one in (name, base))
            if frame_id != wanted:
                self._log.warning_once(
                    (name, "frame"),
                    f"{name} is in frame {frame_id!r}, {base} in {wanted!r}: use {name} that is registered "
                    f"to {base} (for depth, the register node of depth_image_proc makes it)",
                )


def anything_valid(image: RawImage, modality: Modality) -> bool:
    """Whether anything was measured at any pixel. Looks at a few first, which mostly settles it."""
    if modality.kind == "colour":  # every pixel of which counts as measured
        return True
    pixels = image.pixels()
    return any(
        bool(modality.valid(torch.from_numpy(some.astype(np.float32))).any())
        for some in (pixels[::SAMPLED, ::SAMPLED], pixels)
    )
