"""What training minimises: cross entropy of each branch and of the ensemble, and distillation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.labels import VOID
from asymfusion_ros.network import NetworkOutput, SegmentationNetwork


def segmentation_loss(
    network: SegmentationNetwork, output: NetworkOutput, label: Tensor, distillation: float
) -> Tensor:
    """The sum of the branches' and the ensemble's cross entropy and of the weighted distillation.

    label: N x H x W uint8 with void. The ensemble sees detached logits, so that its term trains alpha
    alone; the distillation's target is detached too (Section 4.2 of the paper). All terms are taken at
    twice the decoder's resolution, which costs a quarter of the full one's time.
    """
    size = tuple(2 * side for side in output.ensemble.shape[-2:])
    target = F.interpolate(label[:, None].float(), size, mode="nearest-exact")[:, 0].long()
    logits = [
        None if branch is None else F.interpolate(branch.float(), size, mode="bilinear", align_corners=False)
        for branch in output.logits
    ]
    ensemble, _ = network.ensemble([None if branch is None else branch.detach() for branch in logits])
    branches = [branch for branch in logits if branch is not None]
    loss = cross_entropy(ensemble, target)
    log_teacher = ensemble.detach().log_softmax(1)
    teacher = log_teacher.exp()
    known = target != VOID
    for branch in branches:
        log_branch = branch.log_softmax(1)
        loss = loss + _likelihood(log_branch, target)
        if distillation and len(branches) > 1:
            divergence = (teacher * (log_teacher - log_branch)).sum(1)  # KL(teacher || branch)
            loss = loss + distillation * divergence[known].sum() / known.sum().clamp(min=1)
    return loss


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the pixels that are not void."""
    return _likelihood(torch.log_softmax(logits, 1), target)


def _likelihood(log_probabilities: Tensor, target: Tensor) -> Tensor:
    # Zero, not NaN, for a batch that happens to be all void.
    total = F.nll_loss(log_probabilities, target, ignore_index=VOID, reduction="sum")
    return total / (target != VOID).sum().clamp(min=1)
