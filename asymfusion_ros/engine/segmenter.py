"""The engine: the images of one frame in, one mask out, on one device."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.checkpoint.description import ModelDescription, available_sets
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.backends import Backend, open_backend
from asymfusion_ros.engine.disagreement import disagreement as disagreement_of
from asymfusion_ros.engine.exported import load_model
from asymfusion_ros.engine.geometry import Geometry, Projector
from asymfusion_ros.engine.label_rules import LabelRules
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.staging import Download
from asymfusion_ros.engine.stopwatch import Stopwatch
from asymfusion_ros.engine.upload import Uploader
from asymfusion_ros.errors import CheckpointError, ConfigError, ImageError

Image = RawImage | npt.NDArray[np.generic]


def reference_name(names: Mapping[str, object]) -> str:
    """The modality whose size, stamp and frame the outputs have: rgb, or the first where there is none."""
    return "rgb" if "rgb" in names else next(iter(names))


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


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(list(tensors))


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


class Segmenter:
    """A checkpoint ready to run. Not for several threads at once.

    The steps of a call are methods of their own, so that each can be timed.

    Attributes: ``checkpoint``, the model's description; ``backend``, which runs its network; ``modalities``,
    each name's Modality; ``rules``, which label a pixel is given: the checkpoint's class, unless replaced.
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
        if checkpoint.target is not None:
            raise ConfigError(
                f"this checkpoint makes {checkpoint.target} images, no masks: it is for image translation, "
                "not for segmentation"
            )
        self.checkpoint = checkpoint
        if threads:
            torch.set_num_threads(threads)
        spec = checkpoint.input_spec
        self._modalities = {name: spec.modality(name) for name in checkpoint.config.modalities}
        self.backend: Backend = open_backend(backend, checkpoint, device, precision, cpu_fallback, threads)
        self.rules = LabelRules()
        self._uploaders = {name: Uploader(self.device) for name in self.modalities}
        self._projector = Projector(self.device)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path = "default",
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
        cpu_fallback: bool = False,
        threads: int = 0,
    ) -> Segmenter:
        """``path``: a .safetensors file, ``default`` for the one in the package, or an .onnx or
        .engine file of `asymfusion export`.

        device: auto, cpu, cuda or cuda:N. precision: auto (fp16 or bf16 where the device computes in it and
        the checkpoint's recorded check has passed, else fp32), fp32, fp16 or bf16. backend: auto (torch for a
        checkpoint, openvino or onnxruntime for an .onnx file, tensorrt for an .engine), or one of these.
        cpu_fallback: whether the CPU may go on where a GPU's memory is full. threads: of the CPU, for the
        backend and all else that torch computes in this process; 0: as many as they choose. Raises
        CheckpointError, DeviceMemoryError or ConfigError (a modality of an unknown kind, a backend, device or
        precision that is not there).
        """
        return cls(load_model(path), device, precision, backend, cpu_fallback, threads)

    def at_input_size(self, height: int, width: int) -> Segmenter:
        """The same network for inputs of another size, which are multiples of 8; its weights are shared, so
        not for another thread. Raises ConfigError for a size that is not possible, and for an exported file,
        which has one size.
        """
        if not isinstance(self.checkpoint, Checkpoint):
            raise ConfigError(
                "an exported file has one input size, its own: for others use the checkpoint it was made of"
            )
        other = copy.copy(self)
        spec = replace(self.checkpoint.input_spec, height=height, width=width)
        other.checkpoint = replace(self.checkpoint, input_spec=spec)
        return other

    @property
    def device(self) -> torch.device:
        """Where frames are segmented."""
        return self.backend.device

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the images that it takes, in the network's order."""
        return self.checkpoint.config.modalities

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
        images = [self.images(given) for given, _ in frames]
        buffers = [self.upload(one) for one in images]
        watch.lap("upload")
        decoded = [
            self.registered(self.decode(one, buffer), wanted.geometry)
            for one, buffer, (_, wanted) in zip(images, buffers, frames, strict=True)
        ]
        references = [self.reference(one) for one in images]
        sizes = [(reference.height, reference.width) for reference in references]
        inputs = [self.normalise(one, size) for one, size in zip(decoded, sizes, strict=True)]
        inferred = self._infer_batch(inputs, [wanted.disagreement for _, wanted in frames])
        watch.lap("network")
        results = []
        for one, size, (logits, apart), (_, wanted) in zip(decoded, sizes, inferred, frames, strict=True):
            confidence = wanted.confidence or (wanted.geometry is not None and wanted.geometry.points)
            result = self.postprocess(logits, size, confidence, self.checkpoint.temperature(one))
            results.append(replace(self._located(result, one, wanted.geometry), disagreement=apart))
        watch.lap("postprocess")
        seconds = watch.seconds if self.device.type == "cpu" else {}
        return [replace(result, seconds=seconds) for result in results]

    def _infer_batch(
        self, inputs: Sequence[Mapping[str, Tensor]], disagreement: Sequence[bool]
    ) -> list[tuple[Tensor, Tensor | None]]:
        """Each frame's logits, and where wanted and there its disagreement."""
        alike: dict[object, list[int]] = {}
        for number, one in enumerate(inputs):
            alike.setdefault(tuple((name, image.shape) for name, image in one.items()), []).append(number)
        found: dict[int, tuple[Tensor, Tensor | None]] = {}
        for numbers in alike.values():
            first = inputs[numbers[0]]
            together = {name: _stacked([inputs[number][name] for number in numbers]) for name in first}
            branches: list[Tensor] = []
            if len(first) > 1 and any(disagreement[number] for number in numbers):
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

    def registered(self, decoded: dict[str, Tensor], geometry: Geometry | None) -> dict[str, Tensor]:
        """Decoded images with the depth as the reference camera sees it."""
        return decoded if geometry is None else self._projector.registered(geometry, decoded)

    def _located(self, result: Result, decoded: Mapping[str, Tensor], geometry: Geometry | None) -> Result:
        """The result with its points, where they are wanted; ``decoded``: with registered depth."""
        if geometry is None:
            return result
        points = None
        if geometry.points and result.confidence is not None:
            points = self._projector.points(geometry, decoded, result.labels, result.confidence)
        out_of_view = geometry.depth is not None and geometry.depth not in decoded
        return replace(result, points=points, out_of_view=out_of_view)

    @torch.inference_mode()
    def warm_up(self, height: int, width: int, batch: int = 1) -> None:
        """Runs blank frames of this size, once for each set of available modalities: first calls are slow.
        Then up to ``batch`` of all modalities together.

        Raises CheckpointError where the network gives anything but numbers, as weights do that are finite
        but meaningless, or beyond what a half precision holds.
        """
        blank: dict[str, Image] = {}
        for name, modality in self._modalities.items():
            if modality.kind == "colour":
                blank[name] = np.zeros((height, width, 3), np.uint8)
            else:
                # half of it as if nothing was measured there
                blank[name] = np.repeat(np.array([0, 1], np.uint16), (height // 2, height - height // 2))[
                    :, None
                ].repeat(width, 1)
        for names in available_sets(list(blank)):
            images = self.images({name: blank[name] for name in names})
            inputs = self.preprocess(images, self.upload(images))
            self._infer_batch([inputs], [False])  # a backend may have another graph for it
            ((logits, _),) = self._infer_batch([inputs], [True])
            if not torch.isfinite(logits).all():
                raise CheckpointError(
                    f"the checkpoint's network gives NaN or infinite values for a blank frame of "
                    f"{' and '.join(names)}: its weights are damaged, or need precision fp32"
                )
            self.postprocess(logits, (height, width), True, self.checkpoint.temperature(images)).numpy()
        for count in range(2, batch + 1):
            for disagreement in (False, True):
                self.segment_batch([(blank, Wanted(disagreement=disagreement))] * count)

    def images(self, given: Mapping[str, Image | None]) -> dict[str, RawImage]:
        """The images of the checkpoint's modalities among ``given``, checked, in the network's order."""
        found = {}
        for name in self.modalities:
            image = given.get(name)
            if image is not None:
                found[name] = image if isinstance(image, RawImage) else RawImage.from_array(image)
        if not found:
            raise ImageError(f"no image: give at least one of {', '.join(self.modalities)}")
        return found

    def reference(self, images: Mapping[str, RawImage]) -> RawImage:
        """The image whose size the result has: rgb, or the first that is there."""
        return images[reference_name(images)]

    def upload(self, images: Mapping[str, RawImage]) -> dict[str, Tensor]:
        """The images' bytes on the device, flat uint8."""
        return {name: self._uploaders[name](image) for name, image in images.items()}

    def preprocess(self, images: Mapping[str, RawImage], buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The network's inputs, 1 x 3 x h x w each, of the modalities that are there."""
        reference = self.reference(images)
        return self.normalise(self.decode(images, buffers), (reference.height, reference.width))

    def decode(self, images: Mapping[str, RawImage], buffers: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The images in their physical units, 1 x C x H x W each."""
        return {name: self._modalities[name].decode(buffers[name], image) for name, image in images.items()}

    def normalise(self, decoded: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
        """The network's inputs of decoded images; ``size``: height and width of the reference image."""
        spec = self.checkpoint.input_spec
        size = spec.network_size(*size)
        return {name: spec.network_input(name, image, size) for name, image in decoded.items()}

    def infer(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The ensemble's logits, 1 x K x h x w at the decoder's resolution."""
        return self.backend(inputs)

    def postprocess(
        self, logits: Tensor, size: tuple[int, int], confidence: bool, temperature: float = 1.0
    ) -> Result:
        """1 x K x h x w -> labels, and where wanted their confidence, at ``size``."""
        return Result(*self.rules(logits[0], size, confidence, temperature))
