"""A frame to published outputs: everything that happens in the inference thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import HostResult, reference_name
from asymfusion_ros.engine.stopwatch import Stopwatch
from asymfusion_ros.errors import ImageError, UserError
from asymfusion_ros.ros.disagreement import DisagreementMonitor
from asymfusion_ros.ros.frame_meter import FrameMeter
from asymfusion_ros.ros.inputs.geometry import CameraGeometry
from asymfusion_ros.ros.log import ThrottledLog, shortened
from asymfusion_ros.ros.network import Network
from asymfusion_ros.ros.outputs.base import Publishers
from asymfusion_ros.ros.scene import Frame, Scene
from asymfusion_ros.stream.counters import Counters

SAMPLED = 16


class FrameSegmenter:
    """Segments frames with ``network`` and publishes what comes out.

    ``modalities``: the network's. ``topics``: the resolved name of each one's topic, for the log.
    ``cameras``: what is known of their geometry. ``monitor`` looks at how far they disagree.
    """

    def __init__(
        self,
        network: Network,
        modalities: Sequence[Modality],
        publishers: Publishers,
        topics: Mapping[str, str],
        cameras: CameraGeometry,
        counters: Counters,
        log: ThrottledLog,
        monitor: DisagreementMonitor,
        meter: FrameMeter,
    ) -> None:
        self._network = network
        self._modalities = {modality.name: modality for modality in modalities}
        self._publishers = publishers
        self._topics = topics
        self._cameras = cameras
        self._counters = counters
        self._log = log
        self._monitor = monitor
        self._meter = meter
        self._palette = network.checkpoint.labels.palette

    def __call__(self, frame: Frame) -> None:
        """Does nothing where nobody subscribes to any output. A frame that can't be used is logged and
        counted; what else goes wrong is raised.
        """
        watch = Stopwatch()
        topics = self._publishers.subscribed()
        if not topics:
            self._counters.unsubscribed += 1
            return
        try:
            scene = self._segment(frame, self._publishers.needs(topics), watch)
            self._publishers.publish(topics, scene)
        except UserError as error:
            self._counters.failed += 1
            self._log.warning("failed", f"a frame was skipped: {error}")
        except BaseException:
            self._counters.failed += 1
            raise
        else:
            watch.lap("publish")
            self._counters.segmented += 1
            self._meter.published(frame, scene.header, topics, watch)

    def _segment(self, frame: Frame, needs: frozenset[str], watch: Stopwatch) -> Scene:
        images = self._usable(frame)
        geometry = self._cameras.of(frame, images, points="points" in needs)
        self._compare(frame, images)
        needs |= self._monitor.needs(images)
        watch.lap("read")
        # Only what is wanted is named: a network without geometry serves where none is asked for.
        options = {} if geometry is None else {"geometry": geometry}
        result = self._network.segment(
            images, confidence="confidence" in needs, disagreement="disagreement" in needs, **options
        ).numpy()
        watch.lap("inference")
        watch.seconds |= result.seconds
        self._monitor.look(images, result)
        self._say(geometry, images, needs, result)
        base = reference_name(images)
        info = self._cameras.message(base)
        return Scene(frame[base].header, images, self._modalities, result, self._palette, info)

    def _say(
        self,
        geometry: Geometry | None,
        images: Mapping[str, RawImage],
        needs: frozenset[str],
        result: HostResult,
    ) -> None:
        if geometry is not None and result.out_of_view:
            self._log.warning(
                "out of view",
                f"no pixel of {geometry.depth} falls into {reference_name(images)}'s image: segmenting "
                "without it; is the transform right (depth_to_rgb or /tf_static), and its direction?",
            )
        if "disagreement" in needs and result.disagreement is None:
            only = next(iter(images))
            self._log.info_once(
                ("disagreement", only), f"nothing on ~/disagreement for frames of {only} alone: it takes two"
            )

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
            frame_id, wanted_frame = frame[name].header.frame_id, frame[base].header.frame_id
            if frame_id != wanted_frame and name == self._cameras.depth(images):
                continue  # CameraGeometry registers it, or says why not
            size, wanted = (f"{one.width}x{one.height}" for one in (image, images[base]))
            if size != wanted:
                line = f"{size} {name} is resized to {wanted} {base}"
                self._log.warning_changed((name, "size"), f"{line}: both must show the same view")
            if frame_id != wanted_frame:
                self._log.warning_once(
                    (name, "frame"),
                    f"{name} is in frame {shortened(frame_id, 100)!r}, {base} in "
                    f"{shortened(wanted_frame, 100)!r}: use {name} that is "
                    f"registered to {base}",
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
