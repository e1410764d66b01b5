"""A camera's frames to its published outputs: what happens in the inference thread.

Before the network: which images can be used (``prepare``); after it: the outputs (``publish``). The network
itself is called in inference.py, for one camera or several.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import HostResult, reference_name
from asymfusion_ros.errors import ImageError, UserError
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.messages import Header
from asymfusion_ros.ros.network import Network
from asymfusion_ros.ros.outputs.base import Publishers
from asymfusion_ros.ros.scene import Frame, Scene
from asymfusion_ros.stream.counters import Counters

SAMPLED = 16


@dataclass(frozen=True)
class PreparedFrame:
    """A frame for the network.

    images: those that can be used, by modality. header: of the reference image. topics: the outputs that
    somebody subscribes to, and needs: the fields of the result that they are made from.
    """

    images: Mapping[str, RawImage]
    header: Header
    topics: frozenset[str]
    needs: frozenset[str]


class FrameSegmenter:
    """What one camera's frames go through on both sides of ``network``.

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
        self._modalities = {modality.name: modality for modality in modalities}
        self._publishers = publishers
        self._topics = topics
        self._counters = counters
        self._log = log
        self._palette = network.label_set.palette

    @contextmanager
    def accounted(self) -> Iterator[None]:
        """Logs and counts what is raised within, a frame that can't be used or a fault that nobody foresaw:
        it ends neither the inference thread nor another camera's frame.
        """
        try:
            yield
        except UserError as error:
            self._counters.failed += 1
            self._log.warning("failed", f"a frame was skipped: {error}")
        except Exception:
            self._counters.failed += 1
            self._log.error("inference", f"a frame was not segmented:\n{traceback.format_exc()}")

    def prepare(self, frame: Frame) -> PreparedFrame | None:
        """What the network is to segment; None where nobody subscribes to any output. Raises ImageError for
        a frame that can't be used.
        """
        topics = self._publishers.subscribed()
        if not topics:
            self._counters.unsubscribed += 1
            return None
        images = self._usable(frame)
        self._compare(frame, images)
        header = frame[reference_name(images)].header
        return PreparedFrame(images, header, topics, self._publishers.needs(topics))

    def publish(self, frame: PreparedFrame, result: HostResult) -> None:
        """Publishes what came out for a prepared frame."""
        scene = Scene(frame.header, frame.images, self._modalities, result, self._palette)
        self._publishers.publish(frame.topics, scene)
        self._counters.segmented += 1

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
                self._log.warning_once(line, f"{line}: both must show the same view")
            frame_id, wanted = frame[name].header.frame_id, frame[base].header.frame_id
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
