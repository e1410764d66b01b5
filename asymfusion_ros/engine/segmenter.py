"""The engine: one RGB-D frame in, one mask out, on one device."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint, load_checkpoint
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.device import choose_device, choose_precision
from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.engine.postprocess import confidence_at, labels_at
from asymfusion_ros.engine.preprocess import Uploader, decode_depth, decode_rgb
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ConfigError, ImageError
from asymfusion_ros.network import NetworkOutput

Image = RawImage | npt.NDArray[np.generic]


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
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", precision: str = "auto") -> None:
        self.checkpoint = checkpoint
        self.device = choose_device(device)
        self.dtype = choose_precision(precision, self.device)
        unknown = set(checkpoint.config.modalities) - {"rgb", "depth"}
        if unknown:
            raise ConfigError(
                f"the checkpoint wants {', '.join(sorted(unknown))}; frames have rgb and depth alone"
            )
        self.network = checkpoint.build()
        fold_norms(self.network)
        self.network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._uploaders = {name: Uploader(self.device) for name in self.modalities}

    @classmethod
    def from_checkpoint(
        cls, path: str | Path = "default", device: str = "auto", precision: str = "auto"
    ) -> Segmenter:
        """``path``: a .safetensors file, or ``default`` for the one in the package.

        device: auto, cpu, cuda or cuda:N. precision: auto, fp32, fp16 or bf16. Raises CheckpointError or
        ConfigError.
        """
        return cls(load_checkpoint(path), device, precision)

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.checkpoint.config.modalities

    @property
    def label_set(self) -> LabelSet:
        return self.checkpoint.labels

    @torch.inference_mode()
    def __call__(self, rgb: Image | None, depth: Image | None, confidence: bool = True) -> Result:
        """Segments a frame; either image may be None, not both.

        rgb: RawImage, or H x W x 3 uint8 RGB. depth: RawImage, or H x W uint16 millimetres or float32 metres;
        of another size than rgb, it is resized. The result has rgb's size, or depth's where rgb is None.
        Raises ImageError for an image that cannot be used.
        """
        frames = self.frames(rgb, depth)
        buffers = self.upload(frames)
        output = self.infer(self.preprocess(frames, buffers))
        reference = frames.get("rgb") or frames["depth"]
        return self.postprocess(output, (reference.height, reference.width), confidence)

    def warm_up(self, height: int, width: int) -> None:
        """Runs blank frames of this size, once for each combination of modalities: first calls are slow."""
        blank: dict[str, Image] = {
            "rgb": np.zeros((height, width, 3), np.uint8),
            "depth": np.ones((height, width), np.uint16),
        }
        for count in range(len(self.modalities), 0, -1):
            for names in combinations(self.modalities, count):
                rgb, depth = (blank[name] if name in names else None for name in ("rgb", "depth"))
                self(rgb, depth).numpy()

    def frames(self, rgb: Image | None, depth: Image | None) -> dict[str, RawImage]:
        """The images given, checked, by modality."""
        frames = {}
        for name, image in (("rgb", rgb), ("depth", depth)):
            if image is not None and name in self.modalities:
                frames[name] = image if isinstance(image, RawImage) else RawImage.from_array(image)
        if not frames:
            raise ImageError(f"no image: give at least one of {', '.join(self.modalities)}")
        return frames

    def upload(self, frames: dict[str, RawImage]) -> dict[str, Tensor]:
        return {name: self._uploaders[name](frame) for name, frame in frames.items()}

    def preprocess(self, frames: dict[str, RawImage], buffers: dict[str, Tensor]) -> list[Tensor | None]:
        """The network's inputs, 1 x 3 x h x w each, None for an absent modality."""
        spec = self.checkpoint.input_spec
        reference = frames.get("rgb") or frames["depth"]
        size = spec.network_size(reference.height, reference.width)
        made: dict[str, Tensor] = {}
        if "rgb" in frames:
            made["rgb"] = spec.rgb(decode_rgb(buffers["rgb"], frames["rgb"]), size)
        if "depth" in frames:
            made["depth"] = spec.depth(decode_depth(buffers["depth"], frames["depth"]), size)
        return [
            made[name].contiguous(memory_format=torch.channels_last) if name in made else None
            for name in self.modalities
        ]

    def infer(self, inputs: list[Tensor | None]) -> NetworkOutput:
        lower = self.dtype != torch.float32
        with torch.autocast(self.device.type, self.dtype) if lower else nullcontext():
            return self.network(inputs)

    def postprocess(self, output: NetworkOutput, size: tuple[int, int], confidence: bool) -> Result:
        logits = output.ensemble[0]
        return Result(labels_at(logits, size), confidence_at(logits, size) if confidence else None)
