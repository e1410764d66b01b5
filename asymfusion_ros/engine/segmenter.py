"""The engine: the images of one frame in, one mask out, on one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.backends import Backend, open_backend
from asymfusion_ros.engine.disagreement import disagreement as disagreement_of
from asymfusion_ros.engine.exported import load_model
from asymfusion_ros.engine.geometry import Geometry, Projector
from asymfusion_ros.engine.postprocess import confidence_at, labels_at
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.stopwatch import Stopwatch
from asymfusion_ros.engine.upload import Uploader
from asymfusion_ros.errors import ImageError

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
        return HostResult(
            self.labels.cpu().numpy(),
            _on_host(self.confidence),
            _on_host(self.disagreement),
            _on_host(self.points),
            self.out_of_view,
            self.seconds,
        )


def _on_host(tensor: Tensor | None) -> npt.NDArray[np.uint8] | None:
    return None if tensor is None else tensor.cpu().numpy()


@dataclass(frozen=True)
class HostResult:
    """A Result's arrays as numpy's, and what else it tells."""

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8] | None
    disagreement: npt.NDArray[np.uint8] | None = None
    points: npt.NDArray[np.uint8] | None = None
    out_of_view: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)


class Segmenter:
    """A checkpoint ready to run. Not for several threads at once.

    The steps of a call are methods of their own, so that each can be timed.

    Attributes: ``checkpoint``, the model's description; ``backend``, which runs its network; ``modalities``,
    each name's Modality.
    """

    def __init__(
        self,
        checkpoint: ModelDescription,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
    ) -> None:
        self.checkpoint = checkpoint
        spec = checkpoint.input_spec
        self._modalities = {name: spec.modality(name) for name in checkpoint.config.modalities}
        self.backend: Backend = open_backend(backend, checkpoint, device, precision)
        self._uploaders = {name: Uploader(self.device) for name in self.modalities}
        self._projector = Projector(self.device)

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path = "default",
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
    ) -> Segmenter:
        """``path``: a .safetensors file, ``default`` for the one in the package, or an .onnx file of
        `asymfusion export`.

        device: auto, cpu, cuda or cuda:N. precision: auto, fp32, fp16 or bf16. backend: auto (torch for a
        checkpoint, openvino or onnxruntime for an exported file), or one of these. Raises CheckpointError or
        ConfigError (a modality of an unknown kind, a backend, device or precision that is not there).
        """
        return cls(load_model(path), device, precision, backend)

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
        return self.checkpoint.labels

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

    @torch.inference_mode()
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
        watch = Stopwatch()
        images = self.images(given)
        buffers = self.upload(images)
        watch.lap("upload")
        decoded = self._registered(self.decode(images, buffers), geometry)
        reference = self.reference(images)
        size = reference.height, reference.width
        inputs = self.normalise(decoded, size)
        apart = None
        if disagreement and len(inputs) > 1:
            found = self.backend.outputs(inputs)
            logits = found.ensemble
            apart = disagreement_of([branch[0] for branch in found.logits if branch is not None])
        else:
            logits = self.infer(inputs)
        watch.lap("network")
        confidence = confidence or (geometry is not None and geometry.points)
        result = self.postprocess(logits, size, confidence, self.checkpoint.temperature(decoded))
        result = self._located(result, decoded, geometry)
        watch.lap("postprocess")
        seconds = watch.seconds if self.device.type == "cpu" else {}
        return replace(result, disagreement=apart, seconds=seconds)

    def _registered(self, decoded: dict[str, Tensor], geometry: Geometry | None) -> dict[str, Tensor]:
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

    def warm_up(self, height: int, width: int) -> None:
        """Runs blank frames of this size, once for each set of available modalities: first calls are slow."""
        blank: dict[str, Image] = {}
        for name, modality in self._modalities.items():
            if modality.kind == "colour":
                blank[name] = np.zeros((height, width, 3), np.uint8)
            else:
                blank[name] = np.ones((height, width), np.uint16)
        for count in range(len(blank), 0, -1):
            for names in combinations(blank, count):
                self.segment({name: blank[name] for name in names}, disagreement=True).numpy()

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
        probability = confidence_at(logits[0], size, temperature) if confidence else None
        return Result(labels_at(logits[0], size), probability)
