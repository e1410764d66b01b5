"""Labels of every modality and the ensemble for one frame, at one or several scales, mirrored or not; the
ensemble's confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.input_spec import GRANULE, InputSpec
from asymfusion_ros.data.modality import turned
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_ros.engine.postprocess import confidence_at, labels_at
from asymfusion_ros.network.views import scaled


@dataclass(frozen=True)
class Prediction:
    """labels: H x W uint8 of each modality, and of ``ensemble``. confidence: the ensemble's, H x W uint8, as
    the engine has it, or None."""

    labels: dict[str, Tensor]
    confidence: Tensor | None


def predict(
    backend: Backend,
    spec: InputSpec,
    images: Mapping[str, Tensor],
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    temperature: float | None = None,
) -> Prediction:
    """The labels of each modality in ``images``, and of ``ensemble``.

    images: by modality's name and in the network's order, 1 x C x H x W in their physical unit, on the
    backend's device. A single view gives the engine's labels. Of several views (each scale, and its mirror
    image with ``flip``), softmax is taken at H x W and averaged. temperature: of the confidence; without
    one, and of several views, there is none.
    """
    height, width = next(iter(images.values())).shape[-2:]
    size = (height, width)
    views = [view_logits(backend, spec, images, scale, flip) for scale in scales]
    if len(views) > 1 or flip:
        averaged = {
            output: _summed([view[output] for view in views], size).argmax(0).to(torch.uint8)
            for output in views[0]
        }
        return Prediction(averaged, None)
    (view,) = views
    labels = {output: labels_at(logits[0], size) for output, logits in view.items()}
    confident = None if temperature is None else confidence_at(view["ensemble"][0], size, temperature)
    return Prediction(labels, confident)


def ensemble_probabilities(
    backend: Backend,
    spec: InputSpec,
    images: Mapping[str, Tensor],
    size: tuple[int, int],
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> Tensor:
    """K x size float32: the mean over the views of the ensemble's softmax, taken at ``size``. The rest is
    ``predict``'s."""
    views = [view_logits(backend, spec, images, scale, flip)["ensemble"] for scale in scales]
    return _summed(views, size) / (len(scales) * (1 + flip))


def view_logits(
    backend: Backend, spec: InputSpec, images: Mapping[str, Tensor], scale: float = 1.0, flip: bool = False
) -> dict[str, Tensor]:
    """1 x K x h x w of each modality in ``images``, and of ``ensemble``, at the decoder's resolution; with
    ``flip`` 2 x K x h x w, the second mirrored."""
    height, width = next(iter(images.values())).shape[-2:]
    view_size = scaled(spec.network_size(height, width), scale, GRANULE)
    view = {}
    for name, image in images.items():
        view[name] = spec.network_input(name, image, view_size)
        if flip:
            facing = turned(image, spec.modality(name))
            mirror = view[name] if facing is image else spec.network_input(name, facing, view_size)
            view[name] = torch.cat([view[name], mirror.flip(-1)])
    found = backend.outputs(view)
    available = [logits for logits in found.logits if logits is not None]
    return {**dict(zip(images, available, strict=True)), "ensemble": found.ensemble}


def _summed(views: list[Tensor], size: tuple[int, int]) -> Tensor:
    """views: (1 or 2) x K x h x w logits each, the second mirrored. The sum of their softmax, K x size."""
    total = views[0].new_zeros(1, views[0].shape[1], *size, dtype=torch.float32)
    for logits in views:
        for mirrored, single in enumerate(logits.float().split(1)):
            straight = single.flip(-1) if mirrored else single
            total += F.interpolate(straight, size, mode="bilinear", align_corners=False).softmax(1)
    return total[0]
