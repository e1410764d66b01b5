"""The decoders by their names. A new one is a module in a file of its own, and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from asymfusion_ros.network.decoders.config import DecoderConfig
from asymfusion_ros.network.decoders.deeplab import RATES, DeepLabV3Plus
from asymfusion_ros.network.decoders.refinenet import RefineNet
from asymfusion_ros.network.decoders.unet import UNetDecoder


@dataclass(frozen=True)
class DecoderEntry:
    """What others have to know of a decoder.

    make: (config, channels of the features) -> module from the features, finest first, (P N) x C_i x h_i x
    w_i each, to logits at the finest one's size, (P N) x K x h_0 x w_0.
    reads: how many resolutions the encoder must have at least. skips: how many of the features, from the
    finest, it reads as a skip; None for all but the coarsest.
    output_strides: at which of these, the first without a choice, the encoder has to stop; empty where the
    encoder's own strides are read. released: the authors' code has it.
    images: makes images of -1 to 1, (P N) x 3 x H x W as large as the network's inputs, in the logits' place.
    """

    make: Callable[[DecoderConfig, tuple[int, ...]], nn.Module]
    reads: int = 4
    skips: int | None = None
    output_strides: tuple[int, ...] = ()
    released: bool = False
    images: bool = False


DECODERS: dict[str, DecoderEntry] = {
    "refinenet": DecoderEntry(RefineNet, released=True),
    "refinenet_lw": DecoderEntry(partial(RefineNet, light=True)),
    "deeplabv3plus": DecoderEntry(DeepLabV3Plus, reads=2, skips=1, output_strides=tuple(RATES)),
    "unet": DecoderEntry(UNetDecoder, reads=8, images=True),
}
