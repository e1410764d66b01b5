"""RefineNet (Lin et al. 2017) and Light-Weight RefineNet (Nekrasov et al. 2018) decoders.

Shared by all modalities and free of norms, so it takes the stack as one batch. The details that the paper
leaves open are those of the authors' released network.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.decoders.base import ClassifyingDecoder
from asymfusion_ros.network.decoders.config import DecoderConfig
from asymfusion_ros.network.layers.pooling import max_pool_5x5


class ResidualUnit(nn.Module):
    """ReLU, 3 x 3 with bias, ReLU, 3 x 3, added to the *rectified* input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        x = F.relu(x)
        return x + self.conv2(F.relu(self.conv1(x), inplace=True))


class ChainedPooling(nn.Module):
    """Four times 5 x 5 max-pool and convolution, each result added to the sum."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False) for _ in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        top = x
        for conv in self.convs:
            top = conv(max_pool_5x5(top))
            x = x + top
        return x


class Level(nn.Module):
    """One resolution: reduce, adapt, join the coarser level, pool, refine, hand to the finer level."""

    def __init__(
        self, inputs: int, width: int, finer_width: int | None, coarsest: bool, kernel: int, units: bool
    ) -> None:
        super().__init__()

        def conv(a: int, b: int) -> nn.Conv2d:
            return nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=False)

        self.reduce = conv(inputs, width)
        self.adapt = nn.Sequential(*(ResidualUnit(width) for _ in range(2 if units else 0)))
        self.join = None if coarsest else conv(width, width)
        self.pool = ChainedPooling(width, kernel)
        self.refine = nn.Sequential(*(ResidualUnit(width) for _ in range(3 if units else 0)))
        self.out = None if finer_width is None else conv(width, finer_width)

    def forward(self, feature: Tensor, coarser: Tensor | None) -> Tensor:
        """(P N) x C x h x w features -> features, as the class says."""
        x = self.adapt(self.reduce(feature))
        if self.join is not None and coarser is not None:
            size = feature.shape[-2:]
            x = self.join(x) + F.interpolate(coarser, size, mode="bilinear", align_corners=True)
        x = self.refine(self.pool(F.relu(x)))
        return x if self.out is None else self.out(x)


class RefineNet(ClassifyingDecoder):
    """Four encoder features -> logits at the finest one's size; the light-weight one has 1 x 1 convolutions
    in place of the 3 x 3 and no residual units."""

    def __init__(self, config: DecoderConfig, channels: tuple[int, ...], light: bool = False) -> None:
        super().__init__()
        width = config.width
        widths = (*(width,) * (len(channels) - 1), config.coarsest * width)
        self.dropout = config.dropout_layer()
        self.levels = nn.ModuleList(  # finest first, like the encoder's features
            Level(
                inputs,
                widths[i],
                finer_width=widths[i - 1] if i > 0 else None,
                coarsest=i == len(channels) - 1,
                kernel=1 if light else 3,
                units=not light,
            )
            for i, inputs in enumerate(channels)
        )
        self.classifier = nn.Conv2d(width, config.classes, 3, padding=1)
        # The convolutions above keep torch's initial scale: He's grows from level to level where no norm
        # follows. The classifier starts near zero, so that all classes start equally likely.
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.get_parameter("bias"))

    def decode(self, features: list[Tensor]) -> Tensor:
        """Features at 1/4 to 1/32 -> (P N) x width x h_0 x w_0."""
        x: Tensor | None = None
        for i in reversed(range(len(features))):
            # The two coarsest carry most of the parameters, hence the dropout there.
            feature = self.dropout(features[i]) if i >= len(features) - 2 else features[i]
            x = self.levels[i](feature, x)
        decoded: Tensor = self.dropout(x)
        return decoded
