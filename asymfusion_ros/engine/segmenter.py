"""The engine: the images of one frame in, one mask out, on one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint, load_checkpoint
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.backends import Backend, open_backend
from asymfusion_ros.engine.postprocess import confidence_at, labels_at
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.upload import Uploader
from asymfusion_ros.errors import CheckpointError, ImageError

Image = RawImage | npt.NDArray[np.generic]


def reference_name(names: Mapping[str, object]) -> str:
    """The modality whose size, stamp and frame the outputs have: rgb, or the first where there is none."""
    return "rgb" if "rgb" in names else next(iter(names))


@dataclass(frozen=True)
class Result:
    """labels: H x W uint8, class indices. confidence: H x W uint8, 0 to 255, or None. On the device."""

    labels: Tensor
    confidence: Tensor | None

    def numpy(self) -> HostResult:
        """The same on the host; waits for the device."""
        confidence = None if self.confidence is None else self.confidence.cpu().numpy()
        return HostResult(self.labels.cpu().numpy(), confidence)


@dataclass(frozen=True)
class HostResult:
    """labels and confidence as numpy arrays, H x W uint8."""

    labels: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8] | None


class Segmenter:
    """A checkpoint ready to run. Not for several threads at once.

    The steps of a call are methods of their own, so that each can be timed.

    Attributes: ``checkpoint``; ``backend``, which runs its network; ``modalities``, each name's Modality.
    """

    def __init__(
        self, checkpoint: Checkpoint, device: str = "auto", precision: str = "auto", backend: str = "torch"
    ) -> None:
        self.checkpoint = checkpoint
        spec = checkpoint.input_spec
        self._modalities = {name: spec.modality(name) for name in checkpoint.config.modalities}
        self.backend: Backend = open_backend(backend, checkpoint, device, precision)
        self._uploaders = {name: Uploader(self.device) for name in self.modalities}

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path = "default",
        device: str = "auto",
        precision: str = "auto",
        backend: str = "torch",
    ) -> Segmenter:
        """``path``: a .safetensors file, or ``default`` for the one in the package.

        device: auto, cpu, cuda or cuda:N. precision: auto, fp32, fp16 or bf16. Raises CheckpointError or
        ConfigError (a modality of an unknown kind, a backend, device or precision that is not there).
        """
        return cls(load_checkpoint(path), device, precision, backend)

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
    def segment(self, given: Mapping[str, Image | None], confidence: bool = True) -> Result:
        """The same for images by modality's name."""
        images = self.images(given)
        logits = self.infer(self.preprocess(images, self.upload(images)))
        reference = self.reference(images)
        temperature = self.checkpoint.temperature(images)
        return self.postprocess(logits, (reference.height, reference.width), confidence, temperature)

    @torch.inference_mode()
    def warm_up(self, height: int, width: int) -> None:
        """Runs blank frames of this size, once for each set of available modalities: first calls are slow.

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
        for count in range(len(blank), 0, -1):
            for names in combinations(blank, count):
                images = self.images({name: blank[name] for name in names})
                logits = self.infer(self.preprocess(images, self.upload(images)))
                if not torch.isfinite(logits).all():
                    raise CheckpointError(
                        f"the checkpoint's network gives NaN or infinite values for a blank frame of "
                        f"{' and '.join(names)}: its weights are damaged, or need precision fp32"
                    )
                self.postprocess(logits, (height, width), True, self.checkpoint.temperature(images)).numpy()

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
        spec, reference = self.checkpoint.input_spec, self.reference(images)
        size = spec.network_size(reference.height, reference.width)
        return {
            name: spec.network_input(name, self._modalities[name].decode(buffers[name], image), size)
            for name, image in images.items()
        }

    def infer(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The ensemble's logits, 1 x K x h x w at the decoder's resolution."""
        return self.backend(inputs)

    def postprocess(
        self, logits: Tensor, size: tuple[int, int], confidence: bool, temperature: float = 1.0
    ) -> Result:
        """1 x K x h x w -> labels, and where wanted their confidence, at ``size``."""
        probability = confidence_at(logits[0], size, temperature) if confidence else None
        return Result(labels_at(logits[0], size), probability)
