"""The whole network: encoder, decoder and ensemble over whichever modalities are present."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network.choices import DEEPLAB, RESNETS, XCEPTION
from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.decoders.deeplab import DeepLabV3Plus
from asymfusion_ros.network.decoders.refinenet import RefineNet
from asymfusion_ros.network.encoders.efficientnet import EfficientNetLite
from asymfusion_ros.network.encoders.resnet import ResNet
from asymfusion_ros.network.encoders.xception import Xception65
from asymfusion_ros.network.ensemble import Ensemble
from asymfusion_ros.network.layers.modality import PerModality, Present, shared_or_own, stack


@dataclass(frozen=True)
class NetworkOutput:
    """What a forward pass gives, at the decoder's own resolution (a quarter of the input's).

    logits: N x K x h x w for each modality, None where it was absent. ensemble: their weighted sum.
    weights: shape (S,), softmax of alpha over the modalities present, zero for an absent one.
    """

    logits: tuple[Tensor | None, ...]
    ensemble: Tensor
    weights: Tensor


class SegmentationNetwork(nn.Module):
    """One shared encoder and decoder for all modalities (Fig. 1a and 2b of the paper), or, with
    ``shared_convs=False``, the layers of both for each modality."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        decoder = DeepLabV3Plus if config.architecture == DEEPLAB else RefineNet
        self.decoder = shared_or_own(config, lambda: decoder(config, self.encoder.channels))
        self.ensemble = Ensemble(len(config.modalities))

    def forward(self, inputs: Sequence[Tensor | None]) -> NetworkOutput:
        """One N x 3 x H x W tensor a modality (float, normalised), None for one that is absent."""
        names = self.config.modalities
        if len(inputs) != len(names):
            raise ConfigError(f"the network has {len(names)} inputs ({', '.join(names)}), not {len(inputs)}")
        given = {i: x for i, x in enumerate(inputs) if x is not None}
        if not given:
            raise ConfigError(f"all inputs are absent: at least one of {', '.join(names)} is needed")
        if len({x.shape for x in given.values()}) > 1:
            shapes = ", ".join(f"{names[i]} {tuple(x.shape)}" for i, x in given.items())
            raise ConfigError(f"the inputs differ in shape: {shapes}")
        present = tuple(given)
        features = self.encoder(stack(list(given.values())), present)
        parts = dict(zip(present, self._decode(features, present)))
        logits = tuple(parts.get(i) for i in range(len(names)))
        ensemble, weights = self.ensemble(logits)
        return NetworkOutput(logits, ensemble, weights)

    def _decode(self, features: list[Tensor], present: Present) -> Sequence[Tensor]:
        """Features of the modalities present, stacked -> their logits, N x K x h x w each."""
        if not isinstance(self.decoder, PerModality):
            return self.decoder(features).chunk(len(present))
        own = zip(*(feature.chunk(len(present)) for feature in features))
        return [self.decoder.of(modality)(list(parts)) for modality, parts in zip(present, own)]


def _encoder(config: NetworkConfig) -> ResNet | Xception65 | EfficientNetLite:
    if config.encoder in RESNETS:
        return ResNet(config)
    return Xception65(config) if config.encoder == XCEPTION else EfficientNetLite(config)


def build_network(config: NetworkConfig) -> SegmentationNetwork:
    """The network that ``config`` describes, with random weights."""
    return SegmentationNetwork(config)
