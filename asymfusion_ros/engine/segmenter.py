"""The engine: the images of one frame in, one mask out, on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asymfusion_ros.checkpoint.description import ModelDescription, available_sets
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.disagreement import disagreement as disagreement_of
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.label_rules import LabelRules
from asymfusion_ros.engine.runner import (
    FrameRunner,
    Image,
    batches,
    check_finite,
    out_of_view,
    reference_name,
)
from asymfusion_ros.engine.staging import Download
from asymfusion_ros.engine.stopwatch import Stopwatch
from asymfusion_ros.errors import ConfigError

__all__ = ["HostResult", "Image", "Result", "Segmenter", "Wanted", "reference_name"]


@dataclass(frozen=True)
class Result:
    """What comes of a frame, on the device.

    labels: H x W uint8, class indices. confidence: H x W uint8, 0 to 255, or None. disagreement: h x w uint8
    at the decoder's resolution, 0 to 255, how far the modalities' predictions are apart, or None. points:
    H x W x 24 uint8 (engine/cloud.py), or None. out_of_view: depth was left out, because none of it falls
    into the reference camera's image.

    seconds: what each stage took: upload, network (preprocessing included), postprocess. Empty on a GPU,
    which works on after the call: to know there, the host would have to wait for it.
    """

    labels: Tensor
    confidence: Tensor | None
    disagreement: Tensor | None = None
    points: Tensor | None = None
    out_of_view: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)

    def numpy(self) -> HostResult:
        """The same on the host; waits for the device."""
        return self.to_host().wait()

    def to_host(self) -> Downloading:
        """Begins to copy the result to the host. To be called before the next frame is segmented: from a GPU,
        the copy then runs beside that frame's work."""
        tensors = (self.labels, self.confidence, self.disagreement, self.points)
        return Downloading(Download(tensors), self.out_of_view, self.seconds)


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a frame besides its labels; see Segmenter.segment."""

    confidence: bool = True
    disagreement: bool = False
    geometry: Geometry | None = None


@dataclass(frozen=True)
class HostResult:
    """A Result's arrays as numpy's, and what else it tells."""

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8] | None
    disagreement: npt.NDArray[np.uint8] | None = None
    points: npt.NDArray[np.uint8] | None = None
    out_of_view: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Downloading:
    """A Result on its way to the host."""

    download: Download
    out_of_view: bool
    seconds: Mapping[str, float]

    def wait(self) -> HostResult:
        """The result, when it is there."""
        labels, confidence, disagreement, points = self.download.arrays()
        assert labels is not None  # every result has them
        return HostResult(labels, confidence, disagreement, points, self.out_of_view, self.seconds)


class Segmenter(FrameRunner):
    """A checkpoint that labels pixels, ready to run; see FrameRunner.

    Attributes: ``rules``, which label a pixel is given: the checkpoint's class, unless replaced.
    """

    def __init__(
        self,
        checkpoint: ModelDescription,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
        cpu_fallback: bool = False,
        threads: int = 0,
    ) -> None:
        """See ``from_checkpoint``."""
        if checkpoint.target is not None:
            raise ConfigError(
                f"this checkpoint makes {checkpoint.target} images, no masks: it is for image translation "
                "(asymfusion translate, asymfusion_ros.Translator, translation_node)"
            )
        super().__init__(checkpoint, device, precision, backend, cpu_fallback, threads)
        self.rules = LabelRules()

    @property
    def label_set(self) -> LabelSet:
        """What the labels mean."""
        return self.checkpoint.labels if self.rules.groups is None else self.rules.groups.labels

    @property
    def unlabeled(self) -> tuple[str, ...]:
        """The checkpoint's classes that have no label: a pixel of theirs is VOID."""
        return () if self.rules.groups is None else self.rules.groups.unlabeled

    def __call__(
        self,
        rgb: Image | None = None,
        depth: Image | None = None,
        confidence: bool = True,
        **others: Image | None,
    ) -> Result:
        """Segments a frame: ``segmenter(rgb, depth)``, ``segmenter(rgb=..., depth=..., thermal=...)``.

        Each image may be None, not all. RawImage, or an array: H x W x 3 uint8 RGB for colour; H x W uint16
        millimetres or float32 metres for a range; H x W of uint8, uint16 (counts) or float32 (the physical
        unit) for a scalar. Images of modalities that the checkpoint does not have are left out. All are
        resized to the reference, rgb or the first that is there, and the result has its size. Raises
        ImageError for an image that cannot be used.
        """
        return self.segment({"rgb": rgb, "depth": depth, **others}, confidence)

    def segment(
        self,
        given: Mapping[str, Image | None],
        confidence: bool = True,
        disagreement: bool = False,
        geometry: Geometry | None = None,
    ) -> Result:
        """The same for images by modality's name.

        disagreement: of the modalities' predictions, which there is where at least two of them are there.
        geometry: the frame's cameras, to register its depth and for points (which need the confidence, and
        bring it).
        """
        return self.segment_batch([(given, Wanted(confidence, disagreement, geometry))])[0]

    @torch.inference_mode()
    def segment_batch(self, frames: Sequence[tuple[Mapping[str, Image | None], Wanted]]) -> list[Result]:
        """The same for several frames, each with what is wanted of it. Those of the same modalities and size
        go through the network in one call, which a GPU does faster than one by one.
        """
        watch = Stopwatch()
        taken = self.take([(given, wanted.geometry) for given, wanted in frames], watch)
        inputs = [one.inputs for one in taken]
        inferred = self._infer_batch(inputs, [wanted.disagreement for _, wanted in frames])
        watch.lap("network")
        results = []
        for one, (logits, apart), (_, wanted) in zip(taken, inferred, frames, strict=True):
            confidence = wanted.confidence or (wanted.geometry is not None and wanted.geometry.points)
            result = self.postprocess(logits, one.size, confidence, self.checkpoint.temperature(one.inputs))
            results.append(replace(self._located(result, one.decoded, wanted.geometry), disagreement=apart))
        watch.lap("postprocess")
        seconds = watch.seconds if self.device.type == "cpu" else {}
        return [replace(result, seconds=seconds) for result in results]

    def _infer_batch(
        self, inputs: Sequence[Mapping[str, Tensor]], disagreement: Sequence[bool]
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Each frame's logits, and where wanted and there its disagreement."""
        found: dict[int, tuple[Tensor, Tensor | None]] = {}
        for numbers, together in batches(inputs):
            branches: list[Tensor] = []
            if len(together) > 1 and any(disagreement[number] for number in numbers):
                outputs = self.backend.outputs(together)
                logits = outputs.ensemble
                branches = [branch for branch in outputs.logits if branch is not None]
            else:
                logits = self.infer(together)
            for i, number in enumerate(numbers):
                wanted = disagreement[number] and branches
                apart = disagreement_of([branch[i] for branch in branches]) if wanted else None
                found[number] = logits[i : i + 1], apart
        return [found[number] for number in range(len(inputs))]

    def _located(self, result: Result, decoded: Mapping[str, Tensor], geometry: Geometry | None) -> Result:
        """The result with its points, where they are wanted; ``decoded``: with registered depth."""
        if geometry is None:
            return result
        points = None
        if geometry.points and result.confidence is not None:
            points = self._projector.points(geometry, decoded, result.labels, result.confidence)
        return replace(result, points=points, out_of_view=out_of_view(geometry, decoded))

    @torch.inference_mode()
    def warm_up(self, height: int, width: int, batch: int = 1) -> None:
        """Runs blank frames of this size, once for each set of available modalities: first calls are slow.
        Then up to ``batch`` of all modalities together.

        Raises CheckpointError where the network gives anything but numbers, as weights do that are finite
        but meaningless, or beyond what a half precision holds.
        """
        blank = self.blank(height, width)
        for names in available_sets(list(blank)):
            images = self.images({name: blank[name] for name in names})
            inputs = self.preprocess(images, self.upload(images))
            self._infer_batch([inputs], [False])  # a backend may have another graph for it
            ((logits, _),) = self._infer_batch([inputs], [True])
            check_finite(logits, names)
            self.postprocess(logits, (height, width), True, self.checkpoint.temperature(images)).numpy()
        for count in range(2, batch + 1):
            for disagreement in (False, True):
                self.segment_batch([(blank, Wanted(disagreement=disagreement))] * count)

    def infer(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The ensemble's logits, 1 x K x h x w at the decoder's resolution."""
        return self.backend(inputs)

    def postprocess(
        self, logits: Tensor, size: tuple[int, int], confidence: bool, temperature: float = 1.0
    ) -> Result:
        """1 x K x h x w -> labels, and where wanted their confidence, at ``size``."""
        return Result(*self.rules(logits[0], size, confidence, temperature))
