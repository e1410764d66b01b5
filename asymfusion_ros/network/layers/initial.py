"""The weights that an encoder starts with where none are loaded."""

from __future__ import annotations

from torch import nn

from asymfusion_ros.network.fusion.base import Fusion


def initialise(encoder: nn.Module) -> None:
    """He initialisation of every convolution of an encoder, where a norm follows each. A fusion's keep what
    they have: no norm follows them, and they start as the average."""
    apart = {part for part in encoder.modules() if isinstance(part, Fusion)}
    kept = {layer for fusion in apart for layer in fusion.modules()}
    for part in encoder.modules():
        if isinstance(part, nn.Conv2d) and part not in kept:
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
