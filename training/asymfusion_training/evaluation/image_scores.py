"""How far a made image is from the truth, without any weights: L1, PSNR and SSIM."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

BEST_PSNR = 100.0  # decibels, where the images are equal


@dataclass(frozen=True)
class ImageScore:
    """title: for people, with its unit. larger: whether larger is better."""

    title: str
    larger: bool


# Of each frame, in this order in ``image_scores``; of a split, the mean over its frames.
IMAGE_SCORES = {
    "l1": ImageScore("L1", larger=False),
    "psnr": ImageScore("PSNR, dB", larger=True),
    "ssim": ImageScore("SSIM", larger=True),
}


def image_scores(made: Tensor, truth: Tensor) -> Tensor:
    """N x 3 x H x W uint8 both -> N x 3 float64: L1 as a share of 255, PSNR in dB, SSIM (Wang 2004)."""
    ours, theirs = made.double() / 255, truth.double() / 255
    l1 = (ours - theirs).abs().mean((1, 2, 3))
    psnr = peak_signal_noise_ratio(ours, theirs, data_range=1.0, reduction="none", dim=(1, 2, 3))
    # In float32: torch's CPU convolves each channel on its own in float64 a hundred times more slowly.
    ssim = structural_similarity_index_measure(ours.float(), theirs.float(), data_range=1.0, reduction="none")
    assert isinstance(ssim, Tensor)
    return torch.stack([l1, psnr.clamp(max=BEST_PSNR), ssim.reshape(len(l1)).double()], dim=1)
