"""The DeepLabv3+ decoder (Chen et al. 2018): atrous spatial pyramid pooling, and low-level features.

Shared by all modalities, norms included (Section 4.2 of the paper), so it takes the stack as one batch. The
details are the reference's: separable convolutions with norm and ReLU after each of their two parts, norms
with eps 1e-5, and bilinear upsampling with align_corners=True.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.decoders.base import ClassifyingDecoder
from asymfusion_ros.network.decoders.config import DecoderConfig
from asymfusion_ros.network.layers.norms import Available, PrivateBatchNorm2d
from asymfusion_ros.network.layers.separable import SeparableConv, plain_conv

LOW_LEVEL_WIDTH = 48
RATES = {16: (6, 12, 18), 8: (12, 24, 36)}  # of the three atrous branches, by output stride
TOGETHER: Available = (0,)  # to a norm with one set for all modalities the stack is one


def _norm(channels: int) -> PrivateBatchNorm2d:
    return PrivateBatchNorm2d(channels, modalities=1, private=False)


def _separable(inputs: int, outputs: int, dilation: int = 1) -> SeparableConv:
    return SeparableConv(plain_conv, _norm, inputs, outputs, dilation=dilation)


class Pointwise(nn.Module):
    """1 x 1 convolution, norm, ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = plain_conv(inputs, outputs, 1)
        self.norm = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W -> N x outputs x H x W."""
        return F.relu(self.norm(self.conv(x), TOGETHER), inplace=True)


def _norm_of_any_batch(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor,
    bias: Tensor,
    training: bool,
    momentum: float,
    eps: float,
) -> Tensor:
    """F.batch_norm, but that one value a channel, which has no variance, takes the running statistics and
    leaves them as they are."""
    training = training and x.numel() > x.shape[1]
    return F.batch_norm(x, mean, variance, weight, bias, training, momentum, eps)


class ImagePooling(Pointwise):
    """The mean over the image through ``Pointwise``, the same at every pixel.

    In training its norm sees one value a channel for each sample of each modality, so that a batch may be
    of a single one.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.norm.batch_norm = _norm_of_any_batch

    def forward(self, x: Tensor) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        return super().forward(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[-2:])


class DeepLabV3Plus(ClassifyingDecoder):
    """The encoder's finest and coarsest features -> logits at the finest one's size."""

    def __init__(self, config: DecoderConfig, channels: tuple[int, ...]) -> None:
        super().__init__()
        width = config.width
        low, high = channels[0], channels[-1]
        self.pooling = ImagePooling(high, width)
        self.pointwise = Pointwise(high, width)
        rates = RATES[config.output_stride or max(RATES)]
        self.atrous = nn.ModuleList(_separable(high, width, rate) for rate in rates)
        self.project = Pointwise((2 + len(rates)) * width, width)
        self.dropout = config.dropout_layer()
        self.low_level = Pointwise(low, LOW_LEVEL_WIDTH)
        self.refine1 = _separable(width + LOW_LEVEL_WIDTH, width)
        self.refine2 = _separable(width, width)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        self.classifier = nn.Conv2d(width, config.classes, 1)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.get_parameter("bias"))

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features, the finest (1/4) first -> (P N) x width x h_0 x w_0."""
        low, high = features[0], features[-1]
        branches = [self.pooling(high), self.pointwise(high)]
        branches += [branch(high, TOGETHER) for branch in self.atrous]
        x = self.dropout(self.project(torch.cat(branches, dim=1)))
        x = F.interpolate(x, low.shape[-2:], mode="bilinear", align_corners=True)
        x = torch.cat([x, self.low_level(low)], dim=1)
        decoded: Tensor = self.refine2(self.refine1(x, TOGETHER), TOGETHER)
        return decoded
