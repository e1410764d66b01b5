"""Labels of every modality and the ensemble for one frame, at one or several scales, mirrored or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.input_spec import GRANULE, InputSpec
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_ros.engine.postprocess import labels_at


def predict(
    backend: Backend,
    spec: InputSpec,
    images: Mapping[str, Tensor],
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> dict[str, Tensor]:
    """H x W uint8 labels of each modality in ``images``, and of ``ensemble``.

    images: by modality's name and in the network's order, 1 x C x H x W in their physical unit, on the
    backend's device. A single view gives the engine's labels. Of several views (each scale, and its mirror
    image with ``flip``), softmax is taken at H x W and averaged.
    """
    height, width = next(iter(images.values())).shape[-2:]
    size = (height, width)
    views = _views(backend, spec, images, scales, flip)
    if len(scales) == 1 and not flip:
        return {output: labels_at(logits[0][0], size) for output, logits in views.items()}
    return {output: _summed(logits, size).argmax(0).to(torch.uint8) for output, logits in views.items()}


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
    logits = _views(backend, spec, images, scales, flip)["ensemble"]
    return _summed(logits, size) / (len(scales) * (1 + flip))


def _views(
    backend: Backend,
    spec: InputSpec,
    images: Mapping[str, Tensor],
    scales: Sequence[float],
    flip: bool,
) -> dict[str, list[Tensor]]:
    """The logits of each output at each scale: 1 x K x h x w, or 2 with the mirror image's."""
    height, width = next(iter(images.values())).shape[-2:]
    views: dict[str, list[Tensor]] = {output: [] for output in (*images, "ensemble")}
    for scale in scales:
        view_size = scaled(spec.network_size(height, width), scale)
        view = {name: spec.network_input(name, image, view_size) for name, image in images.items()}
        if flip:
            view = {name: torch.cat([x, x.flip(-1)]) for name, x in view.items()}
        found = backend.outputs(view)
        available = [logits for logits in found.logits if logits is not None]
        for name, logits in zip(images, available, strict=True):
            views[name].append(logits)
        views["ensemble"].append(found.ensemble)
    return views


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """The (height, width) of the network's input at this scale, in InputSpec's granules."""
    height, width = (max(GRANULE, round(side * scale / GRANULE) * GRANULE) for side in size)
    return height, width


def _summed(views: list[Tensor], size: tuple[int, int]) -> Tensor:
    """views: (1 or 2) x K x h x w logits each, the second mirrored. The sum of their softmax, K x size."""
    total = views[0].new_zeros(1, views[0].shape[1], *size, dtype=torch.float32)
    for logits in views:
        for mirrored, single in enumerate(logits.float().split(1)):
            straight = single.flip(-1) if mirrored else single
            total += F.interpolate(straight, size, mode="bilinear", align_corners=False).softmax(1)
    return total[0]
