"""The network as one would write it down, to compare with: what every speed-up is a ratio to."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.network import build_network


class PlainEager:
    """The segmenter's network as it is trained, run by torch op after op in float32: norms of their own, one
    contiguous batch a modality, no TF32, and every class upsampled to every pixel before the winner is taken.

    The weights are random ones, since what it costs is the same: an exported file has no others either.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        with torch.device(segmenter.device):
            self._network = build_network(segmenter.checkpoint.config).eval()
        self._network.views = segmenter.checkpoint.views

    @torch.inference_mode()
    def __call__(self, images: Mapping[str, RawImage]) -> Tensor:
        """From camera bytes to labels, H x W uint8 on the host. The images are decoded and resized as the
        engine does it."""
        segmenter = self._segmenter
        inputs = segmenter.preprocess(images, segmenter.upload(images))
        given = [
            x if (x := inputs.get(name)) is None else x.float().contiguous() for name in segmenter.modalities
        ]
        reference = segmenter.reference(images)
        tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        try:
            logits = self._network(given).ensemble
        finally:
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = tf32
        full = F.interpolate(
            logits, (reference.height, reference.width), mode="bilinear", align_corners=False
        )
        return full[0].argmax(0).to(torch.uint8).cpu()
