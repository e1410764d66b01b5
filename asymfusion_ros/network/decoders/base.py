"""What a decoder that ends in a classifier is to the network."""

from __future__ import annotations

from torch import Tensor, nn


class ClassifyingDecoder(nn.Module):
    """Features to logits. classifier: the last layer, a convolution."""

    classifier: nn.Conv2d

    def decode(self, features: list[Tensor]) -> Tensor:
        """The encoder's features, finest first, (P N) x C_i x h_i x w_i -> what the classifier takes."""
        raise NotImplementedError

    def forward(self, features: list[Tensor]) -> Tensor:
        """The encoder's features, finest first -> (P N) x K x h_0 x w_0."""
        return self.classifier(self.decode(features))
