"""What a student learns from its teachers: their probabilities (Hinton et al. 2015)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.network import NetworkOutput, SegmentationNetwork
from asymfusion_training.tasks.segmentation.losses import means_over


def teacher_loss(
    network: SegmentationNetwork, output: NetworkOutput, teacher: Tensor, temperature: float = 1.0
) -> Tensor:
    """The sum over the modalities and the ensemble of KL(teacher || own), times temperature ** 2.

    teacher: N x K x h x w uint8 soft labels. Each term is taken at their resolution, and is a mean over the
    pixels that have one, of all processes' batches together. As in ``segmentation_loss``, the ensemble's
    trains nothing but alpha; with a single modality there is none.
    """
    size = teacher.shape[-2:]
    target = teacher.float()
    total = target.sum(1, keepdim=True)
    known = total[:, 0] > 0
    target = target / total.clamp(min=1)
    if temperature != 1:  # softmax(log p / T)
        target = target ** (1 / temperature)
        target = target / target.sum(1, keepdim=True).where(known[:, None], 1)
    (pixels,) = means_over(known.sum())
    students = [x for x in output.logits if x is not None]
    if len(students) > 1:
        students.append(network.ensemble([None if x is None else x.detach() for x in output.logits])[0])
    loss = torch.zeros((), device=teacher.device)
    for own in students:
        logits = F.interpolate(own.float(), size, mode="bilinear", align_corners=False)
        log_own = (logits / temperature).log_softmax(1)
        divergence = (torch.xlogy(target, target) - target * log_own).sum(1)
        loss = loss + divergence.where(known, 0).sum() / pixels
    return temperature**2 * loss
