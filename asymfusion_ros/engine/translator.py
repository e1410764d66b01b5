"""Image translation: the images of one frame in, the image of another modality out, on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.checkpoint.description import ModelDescription, available_sets
from asymfusion_ros.data.unit_image import as_uint8
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.runner import FrameRunner, Image, batches, check_finite, out_of_view
from asymfusion_ros.engine.staging import Download
from asymfusion_ros.engine.stopwatch import Stopwatch
from asymfusion_ros.errors import ConfigError

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Asked:
    """What is wanted of a frame. each: every modality's own image too. geometry: the frame's cameras, to
    register its depth."""

    each: bool = False
    geometry: Geometry | None = None


@dataclass(frozen=True)
class Translation:
    """What comes of a frame, on the device.

    image: H x W x 3 uint8, the ensemble's. each: that of every modality by name, where it was asked for.
    out_of_view, seconds: see asymfusion_ros.engine.Result.
    """

    image: Tensor
    each: Mapping[str, Tensor] = field(default_factory=dict)
    out_of_view: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)

    def numpy(self) -> HostTranslation:
        """The same on the host; waits for the device."""
        image, *each = Download((self.image, *self.each.values())).arrays()
        assert image is not None
        named = {name: one for name, one in zip(self.each, each, strict=True) if one is not None}
        return HostTranslation(image, named, self.out_of_view, self.seconds)


@dataclass(frozen=True)
class HostTranslation:
    """A Translation's arrays as numpy's, and what else it tells."""

    image: Pixels
    each: Mapping[str, Pixels] = field(default_factory=dict)
    out_of_view: bool = False
    seconds: Mapping[str, float] = field(default_factory=dict)


class Translator(FrameRunner):
    """A checkpoint that makes images, ready to run; see FrameRunner.

    translator = Translator.from_checkpoint("model.safetensors")
    translator(depth=depth, shade=shade).numpy().image
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
        if checkpoint.target is None:
            raise ConfigError(
                "this checkpoint labels pixels and makes no images: use it with asymfusion_ros.Segmenter, "
                "`asymfusion replay` or segmentation_node; translation takes one that was trained for it"
            )
        super().__init__(checkpoint, device, precision, backend, cpu_fallback, threads)
        self.target: str = checkpoint.target

    def __call__(self, each: bool = False, **images: Image | None) -> Translation:
        """Translates a frame: ``translator(depth=..., shade=...)``.

        images: RawImage or array by modality's name, as Segmenter takes them; not all need to be there. All
        are resized to the first that is, whose size the result has. each: every modality's own image too.
        Raises ImageError for an image that cannot be used.
        """
        return self.translate_batch([(images, Asked(each))])[0]

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """The recipe's, to which every frame is stretched, as in training: the network takes multiples of 256
        pixels, so that other frames have no size near their own shape."""
        return self.checkpoint.input_spec.height, self.checkpoint.input_spec.width

    @torch.inference_mode()
    def translate_batch(
        self, frames: Sequence[tuple[Mapping[str, Image | None], Asked]]
    ) -> list[Translation]:
        """The same for several frames, each with what is asked of it. Those of the same modalities and size
        go through the network in one call."""
        watch = Stopwatch()
        taken = self.take([(given, asked.geometry) for given, asked in frames], watch)
        inputs = [one.inputs for one in taken]
        made = self._infer_batch(inputs, any(asked.each for _, asked in frames))
        watch.lap("network")
        results = []
        for one, (ensemble, branches), (_, asked) in zip(taken, made, frames, strict=True):
            each = {name: pixels(branches[name], one.size) for name in branches} if asked.each else {}
            out = out_of_view(asked.geometry, one.decoded)
            results.append(Translation(pixels(ensemble, one.size), each, out))
        watch.lap("postprocess")
        seconds = watch.seconds if self.device.type == "cpu" else {}
        return [replace(result, seconds=seconds) for result in results]

    def _infer_batch(
        self, inputs: Sequence[Mapping[str, Tensor]], each: bool
    ) -> list[tuple[Tensor, dict[str, Tensor]]]:
        """Each frame's 1 x 3 x h x w image of -1 to 1, and where wanted every modality's."""
        found: dict[int, tuple[Tensor, dict[str, Tensor]]] = {}
        for numbers, together in batches(inputs):
            branches: dict[str, Tensor] = {}
            if each:
                outputs = self.backend.outputs(together)
                ensemble = outputs.ensemble
                there = [one for one in outputs.logits if one is not None]
                branches = dict(zip(together, there, strict=True))
            else:
                ensemble = self.backend(together)
            for i, number in enumerate(numbers):
                own = {name: branch[i : i + 1] for name, branch in branches.items()}
                found[number] = ensemble[i : i + 1], own
        return [found[number] for number in range(len(inputs))]

    @torch.inference_mode()
    def warm_up(self, height: int, width: int, batch: int = 1) -> None:
        """As Segmenter's: blank frames of this size, for each set of available modalities. Raises
        CheckpointError where the network gives anything but numbers."""
        blank = self.blank(height, width)
        for names in available_sets(list(blank)):
            images = self.images({name: blank[name] for name in names})
            ((image, _),) = self._infer_batch([self.preprocess(images, self.upload(images))], False)
            check_finite(image, names)
        for count in range(2, batch + 1):
            self.translate_batch([(blank, Asked())] * count)


def pixels(image: Tensor, size: tuple[int, int]) -> Tensor:
    """1 x 3 x h x w of -1 to 1 -> H x W x 3 uint8 of ``size``, resized bilinearly."""
    if image.shape[-2:] != size:
        image = F.interpolate(image.float(), size, mode="bilinear", antialias=True)
    return as_uint8(image)[0].permute(1, 2, 0).contiguous()
