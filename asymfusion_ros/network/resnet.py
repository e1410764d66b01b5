"""ResNet encoders (He et al. 2016) with shared convolutions, private norms and fusion.

Names of layers follow torchvision's, so that its ImageNet weights load by name. Fusion sits in the last
block of each of the four stages.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.fusion import Fusion
from asymfusion_ros.network.modality import Present, PrivateBatchNorm2d, initialise

BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def _norm(config: NetworkConfig, channels: int) -> PrivateBatchNorm2d:
    return PrivateBatchNorm2d(channels, len(config.modalities), config.private_norms)


class Downsample(nn.ModuleList):
    """The projection on a block's shortcut: 1 x 1 convolution and norm."""

    def __init__(self, config: NetworkConfig, inputs: int, outputs: int, stride: int) -> None:
        super().__init__([nn.Conv2d(inputs, outputs, 1, stride, bias=False), _norm(config, outputs)])

    def forward(self, x: Tensor, present: Present) -> Tensor:
        convolution, norm = self
        return norm(convolution(x), present)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions (ResNet-18 and 34).

    Fused, it shuffles after the first one's ReLU; the shift and the second shuffle come after the second
    one's norm, before the shortcut is added.
    """

    expansion = 1

    def __init__(self, config: NetworkConfig, inputs: int, width: int, stride: int, fused: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = _norm(config, width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = _norm(config, width)
        projects = stride > 1 or inputs != width
        self.downsample = Downsample(config, inputs, width, stride) if projects else None
        self.fusion = Fusion(config, width) if fused else None

    def forward(self, x: Tensor, present: Present) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x, present)
        entered = F.relu(self.bn1(self.conv1(x), present), inplace=True)
        if self.fusion is not None:
            entered = self.fusion.enter(entered, present)
        x = self.bn2(self.conv2(entered), present)
        if self.fusion is not None:
            x = self.fusion.leave(x, entered, present)
        return F.relu(x + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions (ResNet-50, 101, 152); fused as in Fig. 3c."""

    expansion = 4

    def __init__(self, config: NetworkConfig, inputs: int, width: int, stride: int, fused: bool) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = _norm(config, width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = _norm(config, width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = _norm(config, outputs)
        projects = stride > 1 or inputs != outputs
        self.downsample = Downsample(config, inputs, outputs, stride) if projects else None
        self.fusion = Fusion(config, width) if fused else None

    def forward(self, x: Tensor, present: Present) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x, present)
        entered = F.relu(self.bn1(self.conv1(x), present), inplace=True)
        if self.fusion is not None:
            entered = self.fusion.enter(entered, present)
        x = F.relu(self.bn2(self.conv2(entered), present), inplace=True)
        if self.fusion is not None:
            x = self.fusion.leave(x, entered, present)
        x = self.bn3(self.conv3(x), present)
        return F.relu(x + shortcut, inplace=True)


class ResNet(nn.Module):
    """Features at 1/4, 1/8, 1/16 and 1/32 of the input's size."""

    layer1: nn.ModuleList
    layer2: nn.ModuleList
    layer3: nn.ModuleList
    layer4: nn.ModuleList

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        block = BasicBlock if config.encoder in ("resnet18", "resnet34") else Bottleneck
        self.channels = tuple(width * block.expansion for width in (64, 128, 256, 512))
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = _norm(config, 64)
        inputs = 64
        for stage, count in enumerate(BLOCKS[config.encoder]):
            width = 64 << stage
            blocks = nn.ModuleList()
            for i in range(count):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(block(config, inputs, width, stride, fused=i == count - 1))
                inputs = width * block.expansion
            self.add_module(f"layer{stage + 1}", blocks)
        initialise(self)

    def forward(self, x: Tensor, present: Present) -> list[Tensor]:
        """(P N) x 3 x H x W -> four tensors, finest first."""
        x = F.relu(self.bn1(self.conv1(x), present), inplace=True)
        x = F.max_pool2d(x, 3, 2, 1)
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x, present)
            features.append(x)
        return features
