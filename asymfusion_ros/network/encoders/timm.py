"""Encoders of the timm package (PyTorch Image Models): inverted residuals with batch norm throughout.

timm's own layers and forward pass, in which every batch norm is made private, every convolution individual
where the modalities share none, and fusion comes where it is in our EfficientNet-Lite: around the depthwise
convolution of the last block of each of the four resolutions, between expansion and projection.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor, nn

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network.encoders.base import Encoder
from asymfusion_ros.network.fusion.base import Fusion
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.registry import make_fusion
from asymfusion_ros.network.layers.initial import initialise
from asymfusion_ros.network.layers.norms import Available
from asymfusion_ros.network.layers.per_modality import PerModality, Sharing

STRIDES = (4, 8, 16, 32)
# timm's name of a layer -> ours; it has the layers of its classifier too, which nobody asks for.
PUBLISHED_NAMES = (
    (r"^(blocks\.[1-9]\d*\.\d+\.)conv_dw\.", r"body.\1conv_dw.conv."),
    (r"^(blocks\.[1-9]\d*\.\d+\.)bn2\.", r"body.\1conv_dw.norm.layer."),
    (r"^((?:blocks\.\d+\.\d+\.)?bn\d\.)", r"body.\1layer."),
    (r"^", "body."),
)


class _Stack:
    """Which modalities are in the stack: timm's layers pass on one tensor and nothing else."""

    available: Available = (0,)


class _Norm(nn.Module):
    """A private norm in the place of timm's, with the activation that timm has in the same module."""

    def __init__(self, layer: nn.Module, activation: nn.Module, stack: _Stack) -> None:
        super().__init__()
        self.layer = layer
        self.activation = activation
        self.stack = stack

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.layer(x, self.stack.available))


class _OwnConv(PerModality):
    """An individual convolution for each modality in the place of timm's."""

    def __init__(self, sharing: Sharing, conv: nn.Module, stack: _Stack) -> None:
        super().__init__(range(sharing.modalities), lambda: copy.deepcopy(conv))
        self.stack = stack

    def forward(self, x: Tensor, available: Available | None = None) -> Tensor:
        return super().forward(x, self.stack.available)


class _Spatial(nn.Module):
    """A block's depthwise convolution and norm, with the fusion around them where the block has one."""

    def __init__(self, conv: nn.Module, norm: nn.Module, fusion: Fusion | None, stack: _Stack) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm
        self.fusion = fusion
        self.stack = stack

    def forward(self, x: Tensor) -> Tensor:
        def spatial(x: Tensor) -> Tensor:
            return self.norm(self.conv(x))

        return spatial(x) if self.fusion is None else self.fusion(x, spatial, self.stack.available)


def _features(model: str) -> Any:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # torchvision raises RuntimeError beside another torch
        raise ConfigError(
            f"encoder: timm:{model} needs timm, with the torchvision that fits this torch: "
            f"pip install 'asymfusion_ros[timm]' ({error})"
        ) from error
    return timm.create_model(model, pretrained=False, features_only=True, out_indices=(1, 2, 3, 4))


def _convert(module: nn.Module, sharing: Sharing, stack: _Stack) -> None:
    """Makes every batch norm below private, and every convolution individual where none is shared."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            activation = getattr(child, "act", nn.Identity())
            module.add_module(name, _Norm(sharing.norm(child.num_features, child.eps), activation, stack))
        elif isinstance(child, nn.Conv2d) and not sharing.shared_convs:
            module.add_module(name, _OwnConv(sharing, child, stack))
        else:
            _convert(child, sharing, stack)


class TimmEncoder(Encoder):
    """Features at 1/4, 1/8, 1/16 and 1/32 of the input's size.

    model: its name in timm; one of the EfficientNet family whose blocks from 1/4 on are inverted residuals.
    Raises ConfigError where timm, or the torchvision that it imports, cannot be imported.
    """

    def __init__(
        self, sharing: Sharing, fusion: FusionConfig, output_stride: int | None = None, *, model: str
    ) -> None:
        super().__init__()
        self.body = _features(model)
        strides = tuple(self.body.feature_info.reduction())
        if strides != STRIDES:
            raise ConfigError(f"encoder: timm's {model} has features at strides {strides}, not {STRIDES}")
        self.channels = tuple(self.body.feature_info.channels())
        self.stack = _Stack()
        ends = [info["stage"] for info in self.body.feature_info.get_dicts()]  # the last before each stride
        expanding = []
        for number, blocks in enumerate(self.body.blocks, start=1):
            for i, block in enumerate(blocks):
                if hasattr(block, "conv_pwl"):  # an inverted residual
                    resolution = 1 + sum(end < number for end in ends)
                    last = number in ends and i == len(blocks) - 1
                    place = fusion.place(resolution, last, fits=block.conv_dw.stride[0] == 1)
                    expanding.append((block, make_fusion(fusion, block.conv_dw.in_channels, place)))
        _convert(self.body, sharing, self.stack)
        for block, exchange in expanding:
            block.conv_dw = _Spatial(block.conv_dw, block.bn2, exchange, self.stack)
            block.bn2 = nn.Identity()
        initialise(self)

    def forward(self, x: Tensor, available: Available) -> list[Tensor]:
        """See Encoder."""
        self.stack.available = available
        return list(self.body(x))
