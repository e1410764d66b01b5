"""The encoder of pix2pix's U-Net (Isola et al. 2017) with shared convolutions, private norms and fusion.

Eight 4 x 4 convolutions of stride 2, each but the first after a LeakyReLU of slope 0.2. Norms follow those of
layers 2 to 7: the first has none, and after the last one there is a single pixel.

Fusion sits in layers 3, 5 and 7 (Section 4.2 of the paper). A layer has one convolution, and it strides,
which the paper's Fig. 3c does not show. Here: the first shuffle comes before the convolution; the shift, of
what the norm gives (what comes before the convolution has another size), and the second shuffle come after
the norm.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network.encoders.base import Encoder
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.registry import make_fusion
from asymfusion_ros.network.layers.initial import initialise_normal
from asymfusion_ros.network.layers.norms import Available
from asymfusion_ros.network.layers.per_modality import Sharing, convolve

LAYERS = 8
FUSED = (3, 5, 7)  # layers, which are the stages that ``fusion_stages`` counts, where it names none
WIDTH = 64  # channels of the first layer


class DownLayer(nn.Module):
    """LeakyReLU (but before the first), 4 x 4 convolution of stride 2, norm (but after first and last)."""

    def __init__(self, sharing: Sharing, fusion: FusionConfig, inputs: int, outputs: int, layer: int) -> None:
        super().__init__()
        self.first = layer == 1
        self.conv = sharing.shared_or_own(lambda: nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False))
        self.norm = sharing.either_norm(outputs) if 1 < layer < LAYERS else None
        fused_in = fusion.place(layer, last=layer in (fusion.stages or FUSED), fits=False)
        self.fusion = make_fusion(fusion, outputs, fused_in)

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x H x W -> (P N) x outputs x H/2 x W/2, not rectified yet."""

        def spatial(x: Tensor) -> Tensor:
            x = convolve(self.conv, x, available)
            return x if self.norm is None else self.norm(x, available)

        if not self.first:
            x = F.leaky_relu(x, 0.2)
        return spatial(x) if self.fusion is None else self.fusion(x, spatial, available)


class UNet(Encoder):
    """The features of all eight layers, before their LeakyReLU. H and W are multiples of 256."""

    def __init__(
        self, sharing: Sharing, fusion: FusionConfig, output_stride: int | None = None, width: int = WIDTH
    ) -> None:
        super().__init__()
        self.channels = tuple(width * min(2**i, 8) for i in range(LAYERS))
        inputs = (3, *self.channels)
        self.layers = nn.ModuleList(
            DownLayer(sharing, fusion, inputs[i], self.channels[i], i + 1) for i in range(LAYERS)
        )
        initialise_normal(self)

    def forward(self, x: Tensor, available: Available) -> list[Tensor]:
        """See Encoder."""
        features = []
        for layer in self.layers:
            x = layer(x, available)
            features.append(x)
        return features
