"""ResNet encoders (He et al. 2016) with shared convolutions, private norms and fusion.

Names of layers follow torchvision's, so that its ImageNet weights load by name. Fusion sits in the last
block of each of the four stages, or where ``fusion_stages`` and ``fusion_blocks`` say.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.choices import DEEPLAB
from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.fusion.asymmetric import make_fusion
from asymfusion_ros.network.fusion.placement import fuses
from asymfusion_ros.network.layers.initial import initialise
from asymfusion_ros.network.layers.modality import Present, PrivateBatchNorm2d, convolve, shared_or_own
from asymfusion_ros.network.layers.separable import plain_conv

BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def _norm(config: NetworkConfig, channels: int) -> PrivateBatchNorm2d:
    return PrivateBatchNorm2d(channels, len(config.modalities), config.private_norms)


def _conv(
    config: NetworkConfig, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1
) -> nn.Module:
    return shared_or_own(config, lambda: plain_conv(inputs, outputs, kernel, stride, dilation))


class Downsample(nn.ModuleList):
    """The projection on a block's shortcut: 1 x 1 convolution and norm."""

    def __init__(self, config: NetworkConfig, inputs: int, outputs: int, stride: int) -> None:
        super().__init__([_conv(config, inputs, outputs, 1, stride), _norm(config, outputs)])

    def forward(self, x: Tensor, present: Present) -> Tensor:
        layer, norm = self
        return norm(convolve(layer, x, present), present)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions (ResNet-18 and 34).

    Fused, it shuffles after the first one's ReLU; the shift and the second shuffle come after the second
    one's norm, before the shortcut is added.

    dilations: before and after the place of the block's stride. fused_in: the stage that it fuses in, None
    where it does not.
    """

    expansion = 1

    def __init__(
        self,
        config: NetworkConfig,
        inputs: int,
        width: int,
        stride: int,
        dilations: tuple[int, int],
        fused_in: int | None,
    ) -> None:
        super().__init__()
        before, after = dilations
        self.conv1 = _conv(config, inputs, width, 3, stride, before)
        self.bn1 = _norm(config, width)
        self.conv2 = _conv(config, width, width, 3, 1, after)
        self.bn2 = _norm(config, width)
        projects = stride > 1 or inputs != width
        self.downsample = Downsample(config, inputs, width, stride) if projects else None
        self.fusion = None if fused_in is None else make_fusion(config, width, fused_in)

    def forward(self, x: Tensor, present: Present) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x, present)
        entered = F.relu(self.bn1(convolve(self.conv1, x, present), present), inplace=True)
        if self.fusion is not None:
            entered = self.fusion.enter(entered, present)
        x = self.bn2(convolve(self.conv2, entered, present), present)
        if self.fusion is not None:
            x = self.fusion.leave(x, entered, present)
        return F.relu(x + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions (ResNet-50, 101, 152); fused as in Fig. 3c. Settings as above."""

    expansion = 4

    def __init__(
        self,
        config: NetworkConfig,
        inputs: int,
        width: int,
        stride: int,
        dilations: tuple[int, int],
        fused_in: int | None,
    ) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = _conv(config, inputs, width, 1)
        self.bn1 = _norm(config, width)
        self.conv2 = _conv(config, width, width, 3, stride, dilations[0])
        self.bn2 = _norm(config, width)
        self.conv3 = _conv(config, width, outputs, 1)
        self.bn3 = _norm(config, outputs)
        projects = stride > 1 or inputs != outputs
        self.downsample = Downsample(config, inputs, outputs, stride) if projects else None
        self.fusion = None if fused_in is None else make_fusion(config, width, fused_in)

    def forward(self, x: Tensor, present: Present) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x, present)
        entered = F.relu(self.bn1(convolve(self.conv1, x, present), present), inplace=True)
        if self.fusion is not None:
            entered = self.fusion.enter(entered, present)
        x = F.relu(self.bn2(convolve(self.conv2, entered, present), present), inplace=True)
        if self.fusion is not None:
            x = self.fusion.leave(x, entered, present)
        x = self.bn3(convolve(self.conv3, x, present), present)
        return F.relu(x + shortcut, inplace=True)


class ResNet(nn.Module):
    """Features at 1/4, 1/8, 1/16 and 1/32 of the input's size.

    For DeepLabv3+ none is coarser than the output stride: instead of striding further, what comes after the
    place of the stride is dilated (in a bottleneck that is the next block, as in torchvision).
    """

    layer1: nn.ModuleList
    layer2: nn.ModuleList
    layer3: nn.ModuleList
    layer4: nn.ModuleList

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        block = BasicBlock if config.encoder in ("resnet18", "resnet34") else Bottleneck
        self.channels = tuple(width * block.expansion for width in (64, 128, 256, 512))
        self.conv1 = _conv(config, 3, 64, 7, 2)
        self.bn1 = _norm(config, 64)
        inputs, size, dilation = 64, 4, 1
        coarsest = (config.output_stride or 16) if config.architecture == DEEPLAB else 32
        for stage, count in enumerate(BLOCKS[config.encoder], start=1):
            width = 32 << stage
            blocks = nn.ModuleList()
            for i in range(count):
                stride, before = 1, dilation
                if stage > 1 and i == 0 and size < coarsest:
                    stride, size = 2, 2 * size
                elif stage > 1 and i == 0:
                    dilation *= 2
                # A bottleneck's stride lies between its two places of fusion, a basic block's before both.
                fits = stride == 1 or block is BasicBlock
                fused = fuses(config, stage, last=i == count - 1, fits=fits)
                blocks.append(
                    block(config, inputs, width, stride, (before, dilation), stage if fused else None)
                )
                inputs = width * block.expansion
            self.add_module(f"layer{stage}", blocks)
        initialise(self)

    def forward(self, x: Tensor, present: Present) -> list[Tensor]:
        """(P N) x 3 x H x W -> four tensors, finest first."""
        x = F.relu(self.bn1(convolve(self.conv1, x, present), present), inplace=True)
        x = F.max_pool2d(x, 3, 2, 1)
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x, present)
            features.append(x)
        return features
