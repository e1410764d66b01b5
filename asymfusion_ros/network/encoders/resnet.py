"""ResNet encoders (He et al. 2016) with shared convolutions, private norms and fusion.

Names of layers follow torchvision's, so that its ImageNet weights load by name. Fusion sits in the last
block of each of the four stages, or where ``fusion_stages`` and ``fusion_blocks`` say.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.encoders.base import Encoder
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.registry import make_fusion
from asymfusion_ros.network.layers.initial import initialise
from asymfusion_ros.network.layers.norms import Available
from asymfusion_ros.network.layers.per_modality import Sharing, convolve
from asymfusion_ros.network.layers.separable import plain_conv


def _conv(
    sharing: Sharing, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1
) -> nn.Module:
    return sharing.shared_or_own(lambda: plain_conv(inputs, outputs, kernel, stride, dilation))


class Downsample(nn.ModuleList):
    """The projection on a block's shortcut: 1 x 1 convolution and norm."""

    def __init__(self, sharing: Sharing, inputs: int, outputs: int, stride: int) -> None:
        super().__init__([_conv(sharing, inputs, outputs, 1, stride), sharing.norm(outputs)])

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        layer, norm = self
        return norm(convolve(layer, x, available), available)


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
        sharing: Sharing,
        fusion: FusionConfig,
        inputs: int,
        width: int,
        stride: int,
        dilations: tuple[int, int],
        fused_in: int | None,
    ) -> None:
        super().__init__()
        before, after = dilations
        self.conv1 = _conv(sharing, inputs, width, 3, stride, before)
        self.bn1 = sharing.norm(width)
        self.conv2 = _conv(sharing, width, width, 3, 1, after)
        self.bn2 = sharing.norm(width)
        projects = stride > 1 or inputs != width
        self.downsample = Downsample(sharing, inputs, width, stride) if projects else None
        self.fusion = make_fusion(fusion, width, fused_in)

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        shortcut = x if self.downsample is None else self.downsample(x, available)
        x = F.relu(self.bn1(convolve(self.conv1, x, available), available), inplace=True)

        def spatial(x: Tensor) -> Tensor:
            return self.bn2(convolve(self.conv2, x, available), available)

        x = spatial(x) if self.fusion is None else self.fusion(x, spatial, available)
        return F.relu(x + shortcut, inplace=True)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions (ResNet-50, 101, 152); fused as in Fig. 3c. Settings as above."""

    expansion = 4

    def __init__(
        self,
        sharing: Sharing,
        fusion: FusionConfig,
        inputs: int,
        width: int,
        stride: int,
        dilations: tuple[int, int],
        fused_in: int | None,
    ) -> None:
        super().__init__()
        outputs = width * self.expansion
        self.conv1 = _conv(sharing, inputs, width, 1)
        self.bn1 = sharing.norm(width)
        self.conv2 = _conv(sharing, width, width, 3, stride, dilations[0])
        self.bn2 = sharing.norm(width)
        self.conv3 = _conv(sharing, width, outputs, 1)
        self.bn3 = sharing.norm(outputs)
        projects = stride > 1 or inputs != outputs
        self.downsample = Downsample(sharing, inputs, outputs, stride) if projects else None
        self.fusion = make_fusion(fusion, width, fused_in)

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        shortcut = x if self.downsample is None else self.downsample(x, available)
        x = F.relu(self.bn1(convolve(self.conv1, x, available), available), inplace=True)

        def spatial(x: Tensor) -> Tensor:
            return F.relu(self.bn2(convolve(self.conv2, x, available), available), inplace=True)

        x = spatial(x) if self.fusion is None else self.fusion(x, spatial, available)
        x = self.bn3(convolve(self.conv3, x, available), available)
        return F.relu(x + shortcut, inplace=True)


class ResNet(Encoder):
    """Features at 1/4, 1/8, 1/16 and 1/32 of the input's size.

    With an output stride none is coarser than that: instead of striding further, what comes after the place
    of the stride is dilated (in a bottleneck that is the next block, as in torchvision).
    block: the class of all blocks. counts: of blocks in each stage.
    """

    fusions_own = True

    layer1: nn.ModuleList
    layer2: nn.ModuleList
    layer3: nn.ModuleList
    layer4: nn.ModuleList

    def __init__(
        self,
        sharing: Sharing,
        fusion: FusionConfig,
        output_stride: int | None = None,
        *,
        block: type[BasicBlock] | type[Bottleneck],
        counts: tuple[int, int, int, int],
    ) -> None:
        super().__init__()
        self.channels = tuple(width * block.expansion for width in (64, 128, 256, 512))
        self.conv1 = _conv(sharing, 3, 64, 7, 2)
        self.bn1 = sharing.norm(64)
        inputs, size, dilation = 64, 4, 1
        for stage, count in enumerate(counts, start=1):
            width = 32 << stage
            blocks = nn.ModuleList()
            for i in range(count):
                stride, before = 1, dilation
                if stage > 1 and i == 0 and size < (output_stride or 32):
                    stride, size = 2, 2 * size
                elif stage > 1 and i == 0:
                    dilation *= 2
                # A bottleneck's stride lies between its two places of fusion, a basic block's before both.
                fits = stride == 1 or block is BasicBlock
                fused_in = fusion.place(stage, last=i == count - 1, fits=fits)
                dilations = before, dilation
                blocks.append(block(sharing, fusion, inputs, width, stride, dilations, fused_in))
                inputs = width * block.expansion
            self.add_module(f"layer{stage}", blocks)
        initialise(self)

    def forward(self, x: Tensor, available: Available) -> list[Tensor]:
        """(P N) x 3 x H x W -> four tensors, finest first."""
        x = F.relu(self.bn1(convolve(self.conv1, x, available), available), inplace=True)
        x = F.max_pool2d(x, 3, 2, 1)
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                x = block(x, available)
            features.append(x)
        return features
