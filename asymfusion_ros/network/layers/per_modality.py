"""What is shared and what is a modality's own (Section 3.1 of the paper).

Layers take the modalities *stacked along the batch*: P x N samples in one tensor, the N samples of the
first available modality first. A shared convolution then is an ordinary one and sees all of them at once;
only the batch norm has to know which rows belong to which modality. A modality that is missing is just not
in the stack. With individual convolutions (a baseline of Table 4) a PerModality stands in a convolution's
place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asymfusion_ros.network.layers.instance_norm import PrivateInstanceNorm2d
from asymfusion_ros.network.layers.norms import Available, PrivateBatchNorm2d


def stack(inputs: list[Tensor]) -> Tensor:
    """P tensors of N x C x H x W -> one of (P N) x C x H x W."""
    return inputs[0] if len(inputs) == 1 else torch.cat(inputs)


class PerModality(nn.ModuleDict):
    """A module of its own for each modality, or for some; the keys are their indices."""

    def __init__(self, modalities: Iterable[int], make: Callable[[], nn.Module]) -> None:
        super().__init__({str(modality): make() for modality in modalities})

    def of(self, modality: int) -> nn.Module:
        """The module of one modality, by its index."""
        return self[str(modality)]

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x H x W -> the same number of rows, each through its own modality's module."""
        return stack([self.of(s)(part) for s, part in zip(available, x.chunk(len(available)))])


@dataclass(frozen=True)
class Sharing:
    """What so many modalities share: the convolutions, or none; norms of their own, or one set for all.
    instance_norms: where a layer can have either, they are those instead of batch norms."""

    modalities: int
    shared_convs: bool = True
    private_norms: bool = True
    instance_norms: bool = False

    def shared_or_own(self, make: Callable[[], nn.Module]) -> nn.Module:
        """What ``make`` builds, once for all modalities, or, with individual convolutions, for each.
        ``convolve`` applies it."""
        return make() if self.shared_convs else PerModality(range(self.modalities), make)

    def either_norm(self, channels: int) -> PrivateBatchNorm2d | PrivateInstanceNorm2d:
        """A norm for the stack, of the kind that ``instance_norms`` asks for."""
        if self.instance_norms:
            return PrivateInstanceNorm2d(channels, self.modalities, self.private_norms)
        return self.norm(channels)

    def norm(self, channels: int, eps: float = 1e-5) -> PrivateBatchNorm2d:
        """A batch norm for the stack."""
        return PrivateBatchNorm2d(channels, self.modalities, self.private_norms, eps)


def convolve(layer: nn.Module, x: Tensor, available: Available) -> Tensor:
    """Applies a layer of ``Sharing.shared_or_own`` to a stack of the available modalities."""
    return layer(x, available) if isinstance(layer, PerModality) else layer(x)


def owned(network: nn.Module) -> dict[str, tuple[str, int, str]]:
    """The tensors that belong to one modality alone, but for the norms' rows.

    Name in the state dict -> (name of its PerModality, modality, name within the modality's module).
    """
    found = {}
    for container, module in network.named_modules():
        if isinstance(module, PerModality):
            for modality in module:
                for name in module[modality].state_dict():
                    found[f"{container}.{modality}.{name}"] = (container, int(modality), name)
    return found
