"""Labels of every branch and the ensemble for one frame, at one or several scales, mirrored or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.input_spec import GRANULE, InputSpec
from asymfusion_ros.engine.postprocess import labels_at
from asymfusion_ros.network import SegmentationNetwork


def predict(
    network: SegmentationNetwork,
    spec: InputSpec,
    images: Mapping[str, Tensor],
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> dict[str, Tensor]:
    """H x W uint8 labels of each branch in ``images`` (in the network's order), and of ``ensemble``.

    images: ``rgb`` 1 x 3 x H x W uint8 and ``depth`` 1 x 1 x H x W float32 metres, either absent or on the
    network's device. A single view gives the engine's labels. Of several views (each scale, and its mirror
    image with ``flip``), softmax is taken at H x W and averaged.
    """
    every = network.config.modalities
    present = [name for name in every if name in images]
    height, width = next(iter(images.values())).shape[-2:]
    size = (height, width)
    views: dict[str, list[Tensor]] = {branch: [] for branch in (*present, "ensemble")}
    for scale in scales:
        view = _inputs(spec, images, scaled(spec.network_size(*size), scale))
        if flip:
            view = {name: torch.cat([x, x.flip(-1)]) for name, x in view.items()}
        output = network(
            [
                view[name].contiguous(memory_format=torch.channels_last) if name in view else None
                for name in every
            ]
        )
        for name in present:
            views[name].append(output.logits[every.index(name)])
        views["ensemble"].append(output.ensemble)
    if len(scales) == 1 and not flip:
        return {branch: labels_at(logits[0][0], size) for branch, logits in views.items()}
    return {branch: _averaged(logits, size) for branch, logits in views.items()}


def scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """The (height, width) of the network's input at this scale, in InputSpec's granules."""
    height, width = (max(GRANULE, round(side * scale / GRANULE) * GRANULE) for side in size)
    return height, width


def _inputs(spec: InputSpec, images: Mapping[str, Tensor], size: tuple[int, int]) -> dict[str, Tensor]:
    return {name: spec.network_input(name, image, size) for name, image in images.items()}


def _averaged(views: list[Tensor], size: tuple[int, int]) -> Tensor:
    """views: (1 or 2) x K x h x w logits each, the second mirrored."""
    total = views[0].new_zeros(1, views[0].shape[1], *size, dtype=torch.float32)
    for logits in views:
        for mirrored, single in enumerate(logits.float().split(1)):
            straight = single.flip(-1) if mirrored else single
            total += F.interpolate(straight, size, mode="bilinear", align_corners=False).softmax(1)
    return total[0].argmax(0).to(torch.uint8)
