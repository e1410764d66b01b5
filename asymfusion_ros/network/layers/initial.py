"""The weights that networks start with where none are loaded."""

from __future__ import annotations

from torch import Tensor, nn

from asymfusion_ros.network.fusion.base import Fusion
from asymfusion_ros.network.layers.instance_norm import PrivateInstanceNorm2d
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d


def initialise(encoder: nn.Module) -> None:
    """He initialisation of every convolution of an encoder, where a norm follows each. A fusion's keep what
    they have: no norm follows them, and they start as the average."""
    for part in _outside_fusions(encoder):
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


def initialise_normal(network: nn.Module) -> None:
    """As adversarial networks start: convolutions with N(0, 0.02), norms' scales with N(1, 0.02), no biases.
    A fusion's layers keep what they have here too."""
    for part in _outside_fusions(network):
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, std=0.02)
        elif isinstance(part, PrivateBatchNorm2d | PrivateInstanceNorm2d):
            nn.init.normal_(part.weight, mean=1.0, std=0.02)
        else:
            continue
        if isinstance(part.bias, Tensor):
            nn.init.zeros_(part.bias)


def _outside_fusions(network: nn.Module) -> list[nn.Module]:
    apart = {part for part in network.modules() if isinstance(part, Fusion)}
    kept = {layer for fusion in apart for layer in fusion.modules()}
    return [part for part in network.modules() if part not in kept]
