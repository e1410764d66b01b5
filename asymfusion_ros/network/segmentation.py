"""The whole network: encoder, decoder and ensemble over whichever modalities are available."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network.config import NetworkConfig
from asymfusion_ros.network.decoders.base import ClassifyingDecoder
from asymfusion_ros.network.decoders.registry import DECODERS
from asymfusion_ros.network.encoders.registry import ENCODERS
from asymfusion_ros.network.ensemble import Ensemble, weighted_mean
from asymfusion_ros.network.layers.norms import Available
from asymfusion_ros.network.layers.per_modality import PerModality, stack
from asymfusion_ros.network.output import NetworkOutput
from asymfusion_ros.network.views import Views


class SegmentationNetwork(nn.Module):
    """One shared encoder and decoder for all modalities (Fig. 1a and 2b of the paper), or, with
    ``shared_convs=False``, the layers of both for each modality.

    Attributes: ``views``, those that are averaged in evaluation; in training there is one.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        sharing, decoder = config.sharing, DECODERS[config.architecture]
        self.encoder = ENCODERS[config.encoder].make(sharing, config.fusion_config, config.stops_at)
        channels = self.encoder.channels
        self.decoder = sharing.shared_or_own(lambda: decoder.make(config.decoder_config, channels))
        self.ensemble = Ensemble(len(config.modalities))
        self.views = Views()

    def forward(
        self, inputs: Sequence[Tensor | None], branches: bool = True, once: bool = False
    ) -> NetworkOutput:
        """One N x 3 x H x W tensor a modality (float, normalised), None for one that is missing.

        once: where the modalities share a classifier, the ensemble is what that makes of their weighted
        features; branches: False where it alone is wanted, and the modalities' logits may be None.
        """
        names = self.config.modalities
        if len(inputs) != len(names):
            raise ConfigError(f"the network has {len(names)} inputs ({', '.join(names)}), not {len(inputs)}")
        given = {i: x for i, x in enumerate(inputs) if x is not None}
        if not given:
            raise ConfigError(f"all inputs are absent: at least one of {', '.join(names)} is needed")
        first = next(iter(given.values()))
        if any(x.shape != first.shape for x in given.values()):
            shapes = ", ".join(f"{names[i]} {tuple(x.shape)}" for i, x in given.items())
            raise ConfigError(f"the inputs differ in shape: {shapes}")
        if self.training or self.views.single:
            return self._predict(inputs, branches, once)
        return self.views.mean(lambda view: self._predict(view, branches, once), inputs)

    def _predict(self, inputs: Sequence[Tensor | None], branches: bool, once: bool) -> NetworkOutput:
        names = self.config.modalities
        given = {i: x for i, x in enumerate(inputs) if x is not None}
        available = tuple(given)
        features = self.encoder(stack(list(given.values())), available)
        if once and len(available) > 1 and isinstance(self.decoder, ClassifyingDecoder):
            weights = self.ensemble.weights([i in given for i in range(len(names))])
            x = self.decoder.decode(features)
            ensemble = self.decoder.classifier(weighted_mean(x, [weights[i] for i in available]))
            own = self.decoder.classifier(x).chunk(len(available)) if branches else ()
            found = dict(zip(available, own))
            return NetworkOutput(tuple(found.get(i) for i in range(len(names))), ensemble, weights)
        decoded = dict(zip(available, self._decode(features, available)))
        logits = tuple(decoded.get(i) for i in range(len(names)))
        ensemble, weights = self.ensemble(logits)
        return NetworkOutput(logits, ensemble, weights)

    def _decode(self, features: list[Tensor], available: Available) -> Sequence[Tensor]:
        """Features of the available modalities, stacked -> their logits, N x K x h x w each."""
        if not isinstance(self.decoder, PerModality):
            return self.decoder(features).chunk(len(available))
        own = zip(*(feature.chunk(len(available)) for feature in features))
        return [self.decoder.of(modality)(list(parts)) for modality, parts in zip(available, own)]
