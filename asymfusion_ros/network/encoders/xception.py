"""Aligned Xception65 (Chen et al. 2018) with shared convolutions, private norms and fusion; for DeepLabv3+.

As in DeepLab's reference: a norm (eps 1e-3) after every depthwise and every pointwise convolution, strides in
place of pooling, symmetric padding. A ReLU precedes each separable convolution; in the exit flow's last
block, which has no shortcut, it follows each norm instead.

Fusion sits in the last block of the entry, middle and exit flow (Section 4.2 of the paper), which leaves open
where in it. Here: the first shuffle comes after the first separable convolution's norm and ReLU; the shift
and the second shuffle come after the second one's, before the third, which ends in the block's last 1 x 1.
Its depthwise convolution works on each channel alone, and strides in the entry flow.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.encoders.base import Encoder
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.registry import make_fusion
from asymfusion_ros.network.layers.initial import initialise
from asymfusion_ros.network.layers.norms import Available, PrivateBatchNorm2d
from asymfusion_ros.network.layers.per_modality import Sharing, convolve
from asymfusion_ros.network.layers.separable import SeparableConv, plain_conv

ENTRY, MIDDLE, EXIT = 1, 2, 3  # stages, as ``fusion_stages`` counts them
MIDDLE_BLOCKS = 16
LOW_LEVEL = 1  # the entry block whose features the decoder reads as well


def _norm(sharing: Sharing, channels: int) -> PrivateBatchNorm2d:
    return sharing.norm(channels, eps=1e-3)


def _conv(
    sharing: Sharing,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Module:
    return sharing.shared_or_own(lambda: plain_conv(inputs, outputs, kernel, stride, dilation, groups))


class XceptionBlock(nn.Module):
    """Three separable convolutions, the last with the stride.

    residual: with a shortcut (a strided 1 x 1 convolution where the shape changes), and a ReLU before each
    separable convolution; otherwise there is none, and the ReLUs are inside.
    fused_in: the stage that it fuses in, None where it does not.
    """

    def __init__(
        self,
        sharing: Sharing,
        fusion: FusionConfig,
        inputs: int,
        widths: tuple[int, int, int],
        stride: int,
        dilation: int,
        residual: bool,
        fused_in: int | None,
    ) -> None:
        super().__init__()
        conv, norm = partial(_conv, sharing), partial(_norm, sharing)
        first, second, third = widths
        self.residual = residual
        self.separable1 = SeparableConv(conv, norm, inputs, first, 1, dilation, rectified=not residual)
        self.separable2 = SeparableConv(conv, norm, first, second, 1, dilation, rectified=not residual)
        self.separable3 = SeparableConv(conv, norm, second, third, stride, dilation, rectified=not residual)
        projects = residual and (stride > 1 or inputs != third)
        self.shortcut = conv(inputs, third, 1, stride) if projects else None
        self.shortcut_norm = norm(third) if projects else None
        self.fusion = make_fusion(fusion, first, fused_in)

    def forward(self, x: Tensor, available: Available) -> tuple[Tensor, Tensor]:
        """(P N) x C x H x W -> (the block's output, its second separable convolution's before the ReLU)."""
        shortcut = x
        if self.shortcut is not None and self.shortcut_norm is not None:
            shortcut = self.shortcut_norm(convolve(self.shortcut, x, available), available)
        x = self.separable1(F.relu(x) if self.residual else x, available)
        if self.residual:
            x = F.relu(x, inplace=True)
        second = x

        def spatial(x: Tensor) -> Tensor:
            nonlocal second
            second = self.separable2(x, available)
            return F.relu(second) if self.residual else second  # not in place: the decoder may read it

        x = spatial(x) if self.fusion is None else self.fusion(x, spatial, available)
        x = self.separable3(x, available)
        return (x + shortcut if self.residual else x), second


class Xception65(Encoder):
    """Low-level features (256 channels, 1/4) and high-level ones (2048 channels, 1/16 or 1/8).

    The low-level ones are those of the second entry block's second separable convolution, after its norm and
    before the ReLU: the last with 256 channels at 1/4, and what the reference's decoder reads.
    """

    channels = (256, 2048)

    def __init__(self, sharing: Sharing, fusion: FusionConfig, output_stride: int | None = None) -> None:
        super().__init__()
        self.stem1 = _conv(sharing, 3, 32, 3, 2)
        self.stem1_norm = _norm(sharing, 32)
        self.stem2 = _conv(sharing, 32, 64, 3)
        self.stem2_norm = _norm(sharing, 64)
        self.entry, self.middle, self.exit = (nn.ModuleList() for _ in range(3))
        # Where the output stride is reached, a further stride becomes dilation of what comes after it.
        dense = output_stride == 8
        inputs = 64
        for i, width in enumerate((128, 256, 728)):
            fused_in = fusion.place(ENTRY, last=i == 2, fits=True)
            stride = 1 if dense and i == 2 else 2
            self.entry.append(XceptionBlock(sharing, fusion, inputs, (width,) * 3, stride, 1, True, fused_in))
            inputs = width
        rate = 2 if dense else 1
        for i in range(MIDDLE_BLOCKS):
            fused_in = fusion.place(MIDDLE, last=i == MIDDLE_BLOCKS - 1, fits=True)
            self.middle.append(XceptionBlock(sharing, fusion, 728, (728,) * 3, 1, rate, True, fused_in))
        # The first exit block's features have 728 channels at one place of fusion and 1024 at the other.
        self.exit.append(XceptionBlock(sharing, fusion, 728, (728, 1024, 1024), 1, rate, True, None))
        fused_in = fusion.place(EXIT, last=True, fits=True)
        self.exit.append(
            XceptionBlock(sharing, fusion, 1024, (1536, 1536, 2048), 1, 2 * rate, False, fused_in)
        )
        initialise(self)

    def forward(self, x: Tensor, available: Available) -> list[Tensor]:
        """(P N) x 3 x H x W -> [low-level, high-level]."""
        x = F.relu(self.stem1_norm(convolve(self.stem1, x, available), available), inplace=True)
        x = F.relu(self.stem2_norm(convolve(self.stem2, x, available), available), inplace=True)
        features = []
        for i, block in enumerate(self.entry):
            x, second = block(x, available)
            if i == LOW_LEVEL:
                features.append(second)
        for block in (*self.middle, *self.exit):
            x, _ = block(x, available)
        return [*features, x]
