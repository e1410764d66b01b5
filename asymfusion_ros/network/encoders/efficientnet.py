"""EfficientNet-Lite encoders: ReLU6, no squeeze-and-excite, batch norm throughout (Tan and Le 2019).

Made for mobile processors, and for private norms: every convolution is followed by one. Convolutions pad
as TensorFlow's SAME does, which the published ImageNet weights were trained with. Fusion sits in the last
block of each of the four resolutions that the decoder reads, or where ``fusion_stages`` (1 is the finest of
the four) and ``fusion_blocks`` say.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.fusion.asymmetric import make_fusion
from asymfusion_ros.network.fusion.placement import fuses
from asymfusion_ros.network.layers.initial import initialise
from asymfusion_ros.network.layers.modality import Present, PrivateBatchNorm2d, convolve, shared_or_own

# (width, depth) multipliers
SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}
# (expansion, kernel, stride, channels, blocks) of each stage
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
READ_BY_DECODER = (1, 2, 4, 6)  # the last stages at 1/4, 1/8, 1/16 and 1/32
RESOLUTIONS = (0, 1, 2, 3, 3, 4, 4)  # which of these four a stage works towards; 0: none, it is finer
STEM = 32  # the Lite models scale neither the stem nor the depth of the first and last stage


def rounded_width(channels: int, multiplier: float) -> int:
    """Channels scaled and rounded to a multiple of 8, never down by more than a tenth."""
    scaled = channels * multiplier
    rounded = max(8, int(scaled + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * scaled else rounded


class SameConv2d(nn.Conv2d):
    """A convolution without bias whose output has ceil(size / stride) pixels, padded more at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        # With stride 1 and an odd kernel SAME is symmetric, and the convolution pads for itself.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] > 1:
            height, width = (
                max((math.ceil(size / self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - size, 0)
                for size in x.shape[-2:]
            )
            x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        if self._slow_in_bfloat16(x):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float()).bfloat16()
        return super().forward(x)

    def _slow_in_bfloat16(self, x: Tensor) -> bool:
        """Whether to compute in float32: on a CPU the backward pass of a depthwise convolution that
        strides, or is larger than 3 x 3, takes bfloat16 two to seven times longer."""
        return (
            self.groups > 1
            and (self.stride[0] > 1 or self.kernel_size[0] > 3)
            and x.device.type == "cpu"
            and torch.is_grad_enabled()
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") == torch.bfloat16
        )


def _norm(config: NetworkConfig, channels: int) -> PrivateBatchNorm2d:
    return PrivateBatchNorm2d(channels, len(config.modalities), config.private_norms, eps=1e-3)


def _conv(
    config: NetworkConfig, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    return shared_or_own(config, lambda: SameConv2d(inputs, outputs, kernel, stride, groups))


class InvertedResidual(nn.Module):
    """Expand (1 x 1), depthwise, project (1 x 1); fused between expand and project.

    ``fused_in``: the resolution, 1 to 4, that it fuses in, None where it does not.
    """

    def __init__(
        self,
        config: NetworkConfig,
        inputs: int,
        outputs: int,
        expansion: int,
        kernel: int,
        stride: int,
        fused_in: int | None,
    ) -> None:
        super().__init__()
        width = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expand = _conv(config, inputs, width, 1) if expansion > 1 else None
        self.expand_norm = _norm(config, width) if expansion > 1 else None
        self.depthwise = _conv(config, width, width, kernel, stride, groups=width)
        self.depthwise_norm = _norm(config, width)
        self.project = _conv(config, width, outputs, 1)
        self.project_norm = _norm(config, outputs)
        self.fusion = None if fused_in is None else make_fusion(config, width, fused_in)

    def forward(self, x: Tensor, present: Present) -> Tensor:
        shortcut = x
        if self.expand is not None and self.expand_norm is not None:
            x = F.relu6(self.expand_norm(convolve(self.expand, x, present), present), inplace=True)
        if self.fusion is not None:
            x = self.fusion.enter(x, present)
        entered = x
        x = F.relu6(self.depthwise_norm(convolve(self.depthwise, x, present), present), inplace=True)
        if self.fusion is not None:
            x = self.fusion.leave(x, entered, present)
        x = self.project_norm(convolve(self.project, x, present), present)
        return x + shortcut if self.residual else x


class EfficientNetLite(nn.Module):
    """Features at 1/4, 1/8, 1/16 and 1/32 of the input's size (rounded up)."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        width_scale, depth_scale = SCALES[config.encoder]
        self.stem = _conv(config, 3, STEM, 3, 2)
        self.stem_norm = _norm(config, STEM)
        self.blocks = nn.ModuleList()
        self.taps: list[int] = []  # the blocks whose output the decoder reads
        inputs = STEM
        channels = []
        for stage, (expansion, kernel, stride, base, repeats) in enumerate(STAGES):
            outputs = rounded_width(base, width_scale)
            count = repeats if stage in (0, len(STAGES) - 1) else math.ceil(repeats * depth_scale)
            for i in range(count):
                first_stride = stride if i == 0 else 1
                last, place = stage in READ_BY_DECODER and i == count - 1, RESOLUTIONS[stage]
                fused = place > 0 and fuses(config, place, last, fits=first_stride == 1)
                fused_in = place if fused else None
                self.blocks.append(
                    InvertedResidual(config, inputs, outputs, expansion, kernel, first_stride, fused_in)
                )
                inputs = outputs
            if stage in READ_BY_DECODER:
                self.taps.append(len(self.blocks) - 1)
                channels.append(outputs)
        self.channels = tuple(channels)
        initialise(self)

    def forward(self, x: Tensor, present: Present) -> list[Tensor]:
        """(P N) x 3 x H x W -> four tensors, finest first."""
        x = F.relu6(self.stem_norm(convolve(self.stem, x, present), present), inplace=True)
        features = []
        for i, block in enumerate(self.blocks):
            x = block(x, present)
            if i in self.taps:
                features.append(x)
        return features
