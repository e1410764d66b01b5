"""A U-Net that is quick: pix2pix's eight layers, two channels wide at first."""

from dataclasses import replace
from functools import partial

import torch

from asymfusion_ros.checkpoint import save_checkpoint
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import NO_LABELS
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.encoders.registry import ENCODERS
from asymfusion_ros.network.encoders.unet import UNet

TINY = "unet_tiny"
SQUARE = InputSpec(height=256, width=256)


def register_tiny_unet(monkeypatch):
    """As the encoder ``unet_tiny``, for the duration of ``monkeypatch``."""
    monkeypatch.setitem(ENCODERS, TINY, replace(ENCODERS["unet"], make=partial(UNet, width=2)))


def unet_config(modalities=("depth", "shade"), encoder=TINY, **settings):
    return NetworkConfig(architecture="unet", encoder=encoder, modalities=modalities, **settings)


def write_translation_checkpoint(path, config=None, target="rgb"):
    """Random weights, which make images that differ from each other."""
    config = config or unet_config()
    torch.manual_seed(0)
    network = build_network(config)
    with torch.no_grad():
        network.decoder.layers[-1].conv.weight.mul_(30)
    save_checkpoint(path, network.state_dict(), config, NO_LABELS, SQUARE, {"data": "made"}, target=target)
    return path
