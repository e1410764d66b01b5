"""A recorded frame through the network, with the decoded images and, where wanted, each modality's labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asymfusion_ros.engine.disagreement import disagreement as disagreement_of
from asymfusion_ros.engine.postprocess import labels_at
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.replay.frames import RecordedFrame

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Segmented:
    """labels, confidence: H x W uint8, the node's mask and confidence. decoded: the images in their physical
    units, 1 x C x H x W each, depth registered. branches: the labels of each modality and of ``ensemble``,
    where they are wanted. disagreement: h x w uint8 (engine/disagreement.py), where it is wanted and at least
    two modalities are there.
    """

    labels: Labels
    confidence: Labels
    decoded: Mapping[str, Tensor]
    branches: Mapping[str, Labels] = field(default_factory=dict)
    disagreement: Labels | None = None


@torch.inference_mode()
def decoded_images(segmenter: Segmenter, frame: RecordedFrame) -> dict[str, Tensor]:
    """The frame's images as Segmented has them."""
    images = segmenter.images(frame.images)
    return segmenter.registered(segmenter.decode(images, segmenter.upload(images)), frame.geometry)


@torch.inference_mode()
def segment(
    segmenter: Segmenter, frame: RecordedFrame, branches: bool = False, disagreement: bool = False
) -> Segmented:
    """What Segmenter.segment gives for the frame. Waits for the device."""
    decoded = decoded_images(segmenter, frame)
    reference = segmenter.reference(segmenter.images(frame.images))
    size = reference.height, reference.width
    inputs = segmenter.normalise(decoded, size)
    temperature = segmenter.checkpoint.temperature(decoded)
    each: dict[str, Labels] = {}
    apart: Labels | None = None
    if branches or (disagreement and len(inputs) > 1):
        outputs = segmenter.backend.outputs(inputs)
        logits = outputs.ensemble
        available = [one for one in outputs.logits if one is not None]
        if branches:
            for name, one in [*zip(decoded, available, strict=True), ("ensemble", logits)]:
                each[name] = labels_at(one[0], size).cpu().numpy()
        if disagreement and len(available) > 1:
            apart = disagreement_of([one[0] for one in available]).cpu().numpy()
    else:
        logits = segmenter.infer(inputs)
    result = segmenter.postprocess(logits, size, True, temperature).numpy()
    assert result.confidence is not None
    return Segmented(result.labels, result.confidence, decoded, each, apart)
