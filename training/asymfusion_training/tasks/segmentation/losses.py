"""What training minimises: cross entropy of each modality and of the ensemble, and distillation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch import distributed as dist
from torch.nn import functional as F

from asymfusion_ros.data.labels import VOID
from asymfusion_ros.network import NetworkOutput, SegmentationNetwork


def segmentation_loss(
    network: SegmentationNetwork,
    output: NetworkOutput,
    label: Tensor,
    distillation: float,
    temperature: float = 1.0,
    class_weights: Tensor | None = None,
    at: str = "half",
) -> Tensor:
    """The sum of the modalities' and the ensemble's cross entropy and of the weighted distillation.

    label: N x H x W uint8 with void. class_weights: K, or None for all alike. The ensemble sees detached
    logits, so that its term trains nothing but alpha; the distillation's target is detached too (Section 4.2
    of the paper), and its KL divergence is multiplied by temperature ** 2, which keeps its gradients' scale
    (Hinton et al. 2015).
    at: ``half`` takes all terms at twice the decoder's resolution, which costs a quarter of the time that
    ``labels``, the labels' own, does.

    Each term is a mean over the known pixels of all processes' batches together: with gradients averaged
    over the processes, they are those of one process with the whole batch.
    """
    size = tuple(label.shape[-2:] if at == "labels" else (2 * side for side in output.ensemble.shape[-2:]))
    target = F.interpolate(label[:, None].float(), size, mode="nearest-exact")[:, 0].long()
    logits = [
        None if x is None else F.interpolate(x.float(), size, mode="bilinear", align_corners=False)
        for x in output.logits
    ]
    ensemble, _ = network.ensemble([None if x is None else x.detach() for x in logits])
    available = [x for x in logits if x is not None]
    known = target != VOID
    weight = known.float() if class_weights is None else class_weights[target.where(known, 0)] * known
    pixels, weights = means_over(known.sum(), weight.sum())

    def cross_entropy(log_probabilities: Tensor) -> Tensor:
        total = F.nll_loss(log_probabilities, target, class_weights, ignore_index=VOID, reduction="sum")
        return total / weights

    loss = cross_entropy(ensemble.log_softmax(1))
    log_teacher = (ensemble.detach() / temperature).log_softmax(1)
    teacher = log_teacher.exp()
    for own in available:
        log_own = own.log_softmax(1)
        loss = loss + cross_entropy(log_own)
        if distillation and len(available) > 1:
            if temperature != 1:
                log_own = (own / temperature).log_softmax(1)
            divergence = (teacher * (log_teacher - log_own)).sum(1)  # KL(teacher || own)
            loss = loss + distillation * temperature**2 * divergence.where(known, 0).sum() / pixels
    return loss


def means_over(*counts: Tensor) -> Tensor:
    """What to divide sums by: the mean over the processes, and never zero (a batch may be all void)."""
    joined = torch.stack([count.float() for count in counts])
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(joined)
        joined = joined / dist.get_world_size()
    return torch.where(joined > 0, joined, 1.0)
