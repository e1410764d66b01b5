"""How every use of a checkpoint begins: images checked, uploaded, decoded, made into the network's inputs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.engine.backends import Backend, open_backend
from asymfusion_ros.engine.backends.beside import BesideBackend
from asymfusion_ros.engine.exported import load_model
from asymfusion_ros.engine.geometry import Geometry, Projector
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.stopwatch import Stopwatch
from asymfusion_ros.engine.upload import Uploader
from asymfusion_ros.errors import CheckpointError, ConfigError, ImageError

Image = RawImage | npt.NDArray[np.generic]
Runner = TypeVar("Runner", bound="FrameRunner")


def reference_name(names: Mapping[str, object]) -> str:
    """The modality whose size, stamp and frame the outputs have: rgb, or the first where there is none."""
    return "rgb" if "rgb" in names else next(iter(names))


def alike(inputs: Sequence[Mapping[str, Tensor]]) -> list[list[int]]:
    """The numbers of the frames that the network can take together: of the same modalities and size."""
    found: dict[object, list[int]] = {}
    for number, one in enumerate(inputs):
        found.setdefault(tuple((name, image.shape) for name, image in one.items()), []).append(number)
    return list(found.values())


def batches(inputs: Sequence[Mapping[str, Tensor]]) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
    """Those that the network takes together: the frames' numbers, and their inputs along the batch."""
    for numbers in alike(inputs):
        if len(numbers) == 1:
            yield numbers, dict(inputs[numbers[0]])
        else:
            names = inputs[numbers[0]]
            yield numbers, {name: torch.cat([inputs[number][name] for number in numbers]) for name in names}


def out_of_view(geometry: Geometry | None, decoded: Mapping[str, Tensor]) -> bool:
    """Whether depth was left out, because none of it falls into the reference camera's image."""
    return geometry is not None and geometry.depth is not None and geometry.depth not in decoded


def check_finite(made: Tensor, names: Iterable[str]) -> None:
    """Raises CheckpointError where the network gave anything but numbers for a blank frame of the modalities
    ``names``."""
    if not torch.isfinite(made).all():
        raise CheckpointError(
            f"the checkpoint's network gives NaN or infinite values for a blank frame of "
            f"{' and '.join(names)}: its weights are damaged, or need precision fp32"
        )


@dataclass(frozen=True)
class Taken:
    """A frame on the device. decoded: its images, with registered depth. size: height and width of the
    result. inputs: the network's."""

    decoded: dict[str, Tensor]
    size: tuple[int, int]
    inputs: dict[str, Tensor]


class FrameRunner:
    """A checkpoint ready to run on a backend. Not for several threads at once.

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
        cpu_fallback: bool = False,
        threads: int = 0,
    ) -> None:
        """See ``from_checkpoint``."""
        self.checkpoint = checkpoint
        if threads:
            torch.set_num_threads(threads)
        spec = checkpoint.input_spec
        self._modalities = {name: spec.modality(name) for name in checkpoint.config.modalities}
        self.backend: Backend = open_backend(backend, checkpoint, device, precision, cpu_fallback, threads)
        self._uploaders = {name: Uploader(self.device) for name in self.modalities}
        self._projector = Projector(self.device)

    @classmethod
    def from_checkpoint(
        cls: type[Runner],
        path: str | Path = "default",
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
        cpu_fallback: bool = False,
        threads: int = 0,
    ) -> Runner:
        """``path``: a .safetensors file, ``default`` for the one in the package, or an .onnx or
        .engine file of `asymfusion export`.

        device: auto, cpu, cuda or cuda:N. precision: auto (fp16 or bf16 where the device computes in it and
        the checkpoint's recorded check has passed, else fp32), fp32, fp16, bf16, or int8 of a file that is in
        it. backend: auto (torch for a checkpoint, but openvino on a CPU where an .onnx exported of it lies
        beside it, as of ``default``; openvino or onnxruntime for an .onnx file, tensorrt for an .engine), or
        one of these.
        cpu_fallback: whether the CPU may go on where a GPU's memory is full. threads: of the CPU, for the
        backend and all else that torch computes in this process; 0: as many as they choose. Raises
        CheckpointError, DeviceMemoryError or ConfigError (a modality of an unknown kind, a backend, device or
        precision that is not there).
        """
        return cls(load_model(path), device, precision, backend, cpu_fallback, threads)

    def at_input_size(self: Runner, height: int, width: int) -> Runner:
        """The same network for inputs of another size, which are multiples of 8; its weights are shared, so
        not for another thread. Raises ConfigError for a size that is not possible, and for an exported file,
        which has one size.
        """
        if not isinstance(self.checkpoint, Checkpoint):
            raise ConfigError(
                "an exported file has one input size, its own: for others use the checkpoint it was made of"
            )
        other = copy.copy(self)
        other.checkpoint = self.checkpoint.at_input_size(height, width)
        if isinstance(self.backend, BesideBackend):
            other.backend = self.backend.on_torch()
        return other

    @property
    def device(self) -> torch.device:
        """Where frames are computed."""
        return self.backend.device

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the images that it takes, in the network's order."""
        return self.checkpoint.config.modalities

    def take(
        self, frames: Sequence[tuple[Mapping[str, Image | None], Geometry | None]], watch: Stopwatch
    ) -> list[Taken]:
        """Frames, each with its cameras, up to what the network is given. ``watch`` laps after the upload.
        Raises ImageError."""
        images = [self.images(given) for given, _ in frames]
        buffers = [self.upload(one) for one in images]
        watch.lap("upload")
        taken = []
        for one, buffer, (_, geometry) in zip(images, buffers, frames, strict=True):
            decoded = self.registered(self.decode(one, buffer), geometry)
            reference = self.reference(one)
            size = (reference.height, reference.width)
            taken.append(Taken(decoded, size, self.normalise(decoded, size)))
        return taken

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
        spec, size = self.checkpoint.input_spec, self.network_size(*size)
        return {name: spec.network_input(name, image, size) for name, image in decoded.items()}

    def registered(self, decoded: dict[str, Tensor], geometry: Geometry | None) -> dict[str, Tensor]:
        """Decoded images with the depth as the reference camera sees it."""
        return decoded if geometry is None else self._projector.registered(geometry, decoded)

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the network's inputs for a frame of this size."""
        return self.checkpoint.input_spec.network_size(height, width)

    def warm_up(self, height: int, width: int, batch: int = 1) -> None:
        """Runs blank frames of this size, once for each set of available modalities: first calls are slow.
        Then up to ``batch`` of all modalities together. Raises CheckpointError where the network gives
        anything but numbers."""
        raise NotImplementedError

    def blank(self, height: int, width: int) -> dict[str, Image]:
        """An image of each modality to warm up with, of single channels half of it as if nothing was measured
        there."""
        blank: dict[str, Image] = {}
        for name, modality in self._modalities.items():
            if modality.kind == "colour":
                blank[name] = np.zeros((height, width, 3), np.uint8)
            else:
                counts = np.repeat(np.array([0, 1], np.uint16), (height // 2, height - height // 2))
                blank[name] = counts[:, None].repeat(width, 1)
        return blank
