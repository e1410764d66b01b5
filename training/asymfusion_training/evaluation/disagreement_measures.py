"""Ways to say how far two predictions are apart, which the study of sensor faults compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from asymfusion_ros.engine.disagreement import disagreement

Measure = Callable[[Sequence[Tensor]], Tensor]  # two K x h x w logits -> h x w uint8
ENGINE = "Jensen-Shannon divergence"


def total_variation(logits: Sequence[Tensor]) -> Tensor:
    """Half the sum of the differences of their softmaxes."""
    one, other = (branch.float().softmax(0) for branch in logits)
    return _levels((one - other).abs().sum(0) / 2)


def other_class(logits: Sequence[Tensor]) -> Tensor:
    """Whether their classes differ, times the lesser of their confidences: what hard labels show."""
    one, other = (branch.float().softmax(0).max(0) for branch in logits)
    return _levels(torch.minimum(one.values, other.values) * (one.indices != other.indices))


def logit_distance(logits: Sequence[Tensor]) -> Tensor:
    """The root mean square difference of their logits, 10 at most."""
    one, other = (branch.float() for branch in logits)
    return _levels((one - other).square().mean(0).sqrt() / 10)


MEASURES: Mapping[str, Measure] = {
    ENGINE: disagreement,
    "total variation": total_variation,
    "another class, by confidence": other_class,
    "distance of the logits": logit_distance,
}


def _levels(values: Tensor) -> Tensor:
    return (values * 255).round().clamp(0, 255).to(torch.uint8)
