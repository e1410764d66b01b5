"""The depthwise separable convolution of Xception65 and DeepLabv3+."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.layers.norms import Available, PrivateBatchNorm2d
from asymfusion_ros.network.layers.per_modality import convolve


class MakeConv(Protocol):
    """Builds a convolution without bias that keeps the size but for its stride; for ``convolve``."""

    def __call__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Module: ...


class MakeNorm(Protocol):
    """Makes the norm of so many channels."""

    def __call__(self, channels: int) -> PrivateBatchNorm2d: ...


def plain_conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias that keeps the size but for its stride."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)


class SeparableConv(nn.Module):
    """3 x 3 depthwise, norm, 1 x 1 pointwise, norm; with ``rectified`` a ReLU after each norm."""

    def __init__(
        self,
        conv: MakeConv,
        norm: MakeNorm,
        inputs: int,
        outputs: int,
        stride: int = 1,
        dilation: int = 1,
        rectified: bool = True,
    ) -> None:
        super().__init__()
        self.rectified = rectified
        self.depthwise = conv(inputs, inputs, 3, stride, dilation, groups=inputs)
        self.depthwise_norm = norm(inputs)
        self.pointwise = conv(inputs, outputs, 1)
        self.pointwise_norm = norm(outputs)

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x H x W -> (P N) x outputs x ceil(H / stride) x ceil(W / stride)."""
        x = self.depthwise_norm(convolve(self.depthwise, x, available), available)
        if self.rectified:
            x = F.relu(x, inplace=True)
        x = self.pointwise_norm(convolve(self.pointwise, x, available), available)
        return F.relu(x, inplace=True) if self.rectified else x
