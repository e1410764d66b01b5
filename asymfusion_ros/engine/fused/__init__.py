"""Postprocessing in one kernel, for GPUs: coarse logits to labels and confidence of every pixel.

The plain way upsamples all K channels to full resolution: K x H x W floats are written, and read once more.
Here each pixel sums its own four grid points class by class, and only labels and confidence are written.
The kernel is written in Triton, which comes with torch's CUDA wheels.
"""

from __future__ import annotations

import functools
import logging
from importlib.util import find_spec

from torch import Tensor

from asymfusion_ros.engine.fused.rule import LabelRule

__all__ = ["LabelRule", "fused_labels", "is_for"]

LOG = logging.getLogger(__name__)


def is_for(logits: Tensor) -> bool:
    """Whether the kernel takes these logits: they are on a GPU, and Triton is installed."""
    return logits.is_cuda and _installed()


def fused_labels(
    logits: Tensor, size: tuple[int, int], rule: LabelRule, confidence: bool, temperature: float = 1.0
) -> tuple[Tensor, Tensor | None]:
    """N x K x h x w -> labels, and where wanted their confidence, N x ``size`` each, uint8.

    The same as ``asymfusion_ros.engine.label_rules`` by plain upsampling, but for ties and for a step of the
    confidence where it is rounded.
    """
    from asymfusion_ros.engine.fused.kernel import labels_and_confidence

    return labels_and_confidence(logits, size, rule, confidence, temperature)


@functools.cache
def _installed() -> bool:
    found = find_spec("triton") is not None
    if not found:
        LOG.warning(
            "labels are made by plain upsampling, which is slower on a GPU: pip install triton for the fused "
            "kernel"
        )
    return found
