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

from asymfusion_ros.network.encoders.base import Encoder
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.registry import make_fusion
from asymfusion_ros.network.layers.initial import initialise
from asymfusion_ros.network.layers.norms import Available, PrivateBatchNorm2d
from asymfusion_ros.network.layers.per_modality import Sharing, convolve

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
# What the files with ImageNet weights call a layer -> what we call it; the classifier's layers are left out.
PUBLISHED_NAMES = (
    (r"^_conv_stem\.", "stem."),
    (r"^_bn0\.", "stem_norm."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand_norm."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise_norm."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project_norm."),
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
        """(P N) x C x h x w features -> features, as the class says."""
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


def _norm(sharing: Sharing, channels: int) -> PrivateBatchNorm2d:
    return sharing.norm(channels, eps=1e-3)


def _conv(
    sharing: Sharing, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Module:
    return sharing.shared_or_own(lambda: SameConv2d(inputs, outputs, kernel, stride, groups))


class InvertedResidual(nn.Module):
    """Expand (1 x 1), depthwise, project (1 x 1); fused between expand and project.

    ``fused_in``: the resolution, 1 to 4, that it fuses in, None where it does not.
    """

    def __init__(
        self,
        sharing: Sharing,
        fusion: FusionConfig,
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
        self.expand = _conv(sharing, inputs, width, 1) if expansion > 1 else None
        self.expand_norm = _norm(sharing, width) if expansion > 1 else None
        self.depthwise = _conv(sharing, width, width, kernel, stride, groups=width)
        self.depthwise_norm = _norm(sharing, width)
        self.project = _conv(sharing, width, outputs, 1)
        self.project_norm = _norm(sharing, outputs)
        self.fusion = make_fusion(fusion, width, fused_in)

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        shortcut = x
        if self.expand is not None and self.expand_norm is not None:
            x = F.relu6(self.expand_norm(convolve(self.expand, x, available), available), inplace=True)

        def spatial(x: Tensor) -> Tensor:
            x = convolve(self.depthwise, x, available)
            return F.relu6(self.depthwise_norm(x, available), inplace=True)

        x = spatial(x) if self.fusion is None else self.fusion(x, spatial, available)
        x = self.project_norm(convolve(self.project, x, available), available)
        return x + shortcut if self.residual else x


class EfficientNetLite(Encoder):
    """Features at 1/4, 1/8, 1/16 and 1/32 of the input's size (rounded up).

    width, depth: what the channels and the blocks of Lite0 are multiplied by.
    """

    fusions_own = True
    exact = ("stem", "stem_norm", "blocks.0")

    def __init__(
        self,
        sharing: Sharing,
        fusion: FusionConfig,
        output_stride: int | None = None,
        *,
        width: float,
        depth: float,
    ) -> None:
        super().__init__()
        self.stem = _conv(sharing, 3, STEM, 3, 2)
        self.stem_norm = _norm(sharing, STEM)
        self.blocks = nn.ModuleList()
        self.taps: list[int] = []  # the blocks whose output the decoder reads
        inputs = STEM
        channels = []
        for stage, (expansion, kernel, stride, base, repeats) in enumerate(STAGES):
            outputs = rounded_width(base, width)
            count = repeats if stage in (0, len(STAGES) - 1) else math.ceil(repeats * depth)
            for i in range(count):
                first_stride = stride if i == 0 else 1
                last, resolution = stage in READ_BY_DECODER and i == count - 1, RESOLUTIONS[stage]
                fused_in = fusion.place(resolution, last, fits=first_stride == 1) if resolution else None
                self.blocks.append(
                    InvertedResidual(
                        sharing, fusion, inputs, outputs, expansion, kernel, first_stride, fused_in
                    )
                )
                inputs = outputs
            if stage in READ_BY_DECODER:
                self.taps.append(len(self.blocks) - 1)
                channels.append(outputs)
        self.channels = tuple(channels)
        initialise(self)

    def forward(self, x: Tensor, available: Available) -> list[Tensor]:
        """(P N) x 3 x H x W -> four tensors, finest first."""
        first, *blocks = self.blocks
        with self.exactly(x):
            x = F.relu6(self.stem_norm(convolve(self.stem, x, available), available), inplace=True)
            x = first(x, available)
        x = self.lowered(x)
        features = []
        for i, block in enumerate(blocks, 1):
            x = block(x, available)
            if i in self.taps:
                features.append(x)
        return features
