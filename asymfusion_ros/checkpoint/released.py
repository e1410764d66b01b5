"""Weights of the authors' released code (yikaiw/AsymFusion) in our names.

Theirs hold one norm for each modality (``bn1.bn_0.weight``) and wrap every shared layer
(``conv1.module.weight``); ours hold the norms' values as S x C tensors. Only names and shapes differ: with
``variant="released"`` both networks compute the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from asymfusion_ros.errors import CheckpointError, ConfigError
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.layers.norms import may_be_missing
from asymfusion_ros.network.shapes import shapes_alone

COARSEST = 4  # they number the decoder's levels from the coarsest, 1, to the finest, 4

# (their name, our name); {level} stands for our level, 3 being the coarsest. One layer, one row.
_ENCODER = r"((?:layer\d\.\d+\.)?(?:conv\d|downsample\.0))\.module\."
_UNIT = r"\.0\.(\d)_conv"
DECODER_NAMES = (
    (r"p_ims1d2_outl(\d)_dimred\.module\.", "reduce."),
    (r"adapt_stage(\d)_b2_joint_varout_dimred\.module\.", "join."),
    (r"mflow_conv_g(\d)_b3_joint_varout_dimred\.module\.", "out."),
    (rf"adapt_stage(\d)_b{_UNIT}\.module\.", "adapt.{unit}.conv1."),
    (rf"adapt_stage(\d)_b{_UNIT}_relu_varout_dimred\.module\.", "adapt.{unit}.conv2."),
    (rf"mflow_conv_g(\d)_b{_UNIT}\.module\.", "refine.{unit}.conv1."),
    (rf"mflow_conv_g(\d)_b{_UNIT}_relu_varout_dimred\.module\.", "refine.{unit}.conv2."),
    (r"mflow_conv_g(\d)_pool\.0\.(\d)_outvar_dimred\.module\.", "pool.convs.{unit}."),
)
_NORM = r"((?:layer\d\.\d+\.)?(?:bn\d|downsample\.1))\.bn_(\d+)\."


def convert_released(released: Mapping[str, Tensor], config: NetworkConfig) -> dict[str, Tensor]:
    """The authors' state dict -> ours, for ``build_network(config)`` with ``variant="released"``.

    Raises ConfigError for another variant, CheckpointError for a tensor that is missing, unknown or of
    another shape than ``config`` has.
    """
    if config.variant != "released":
        raise ConfigError(
            f"variant: {config.variant!r} computes otherwise than the authors' code; use 'released'"
        )
    if released and all(name.startswith("module.") for name in released):  # saved from DataParallel
        released = {name.removeprefix("module."): tensor for name, tensor in released.items()}
    with shapes_alone():
        expected = build_network(config).state_dict()
    ours: dict[str, Tensor] = {}
    for name, tensor in released.items():
        if name.endswith("num_batches_tracked"):
            continue  # no network with a fixed momentum reads it
        ours_name, row = _renamed(name)
        if ours_name not in expected:
            raise CheckpointError(
                f"{name} is not a tensor of RefineNet with {config.encoder}: wrong encoder?"
            )
        wanted = expected[ours_name].shape
        if row is not None and row >= wanted[0]:
            raise CheckpointError(
                f"{name} belongs to a modality beyond the {len(config.modalities)} of {config.modalities}"
            )
        found = tensor.shape if row is None else (wanted[0], *tensor.shape)
        if tuple(found) != tuple(wanted):  # before it is copied: a shape can be larger than its storage
            raise CheckpointError(
                f"{name} has shape {tuple(tensor.shape)}, but {config.encoder} with {config.classes} classes "
                f"and {len(config.modalities)} modalities has {tuple(wanted)} for {ours_name}"
            )
        if row is None:
            ours[ours_name] = tensor.clone()
        else:
            ours.setdefault(ours_name, torch.full(wanted, torch.nan))[row] = tensor
    required = [name for name in expected if not may_be_missing(name)]
    missing = [name for name in required if name not in ours or ours[name].isnan().any()]
    if missing:
        raise CheckpointError(
            f"the released weights lack (or hold NaN in) {len(missing)} tensors, first {missing[0]}"
        )
    return ours


def _renamed(name: str) -> tuple[str, int | None]:
    """Our name of a tensor, and its row where theirs is one modality's norm."""
    if name == "alpha":
        return "ensemble.alpha", None
    if name.startswith("clf_conv.module."):
        return name.replace("clf_conv.module.", "decoder.classifier."), None
    if match := re.match(_NORM, name):
        return f"encoder.{match[1]}.{name[match.end() :]}", int(match[2])
    if match := re.match(_ENCODER, name):
        return f"encoder.{match[1]}.{name[match.end() :]}", None
    for pattern, layer in DECODER_NAMES:
        if match := re.match(pattern, name):
            unit = int(match[2]) - 1 if match.re.groups > 1 else 0
            level = COARSEST - int(match[1])
            return f"decoder.levels.{level}.{layer.format(unit=unit)}{name[match.end() :]}", None
    return name, None


def released_config(released: Mapping[str, Tensor]) -> NetworkConfig:
    """The NetworkConfig of the authors' state dict, read off its tensors.

    Raises CheckpointError where it is not one of theirs.
    """
    names = {name.removeprefix("module."): tensor for name, tensor in released.items()}
    depth = len({name.split(".")[1] for name in names if name.startswith("layer3.")})
    encoder = {6: "resnet50", 23: "resnet101", 36: "resnet152"}.get(depth)
    classifier, alpha = names.get("clf_conv.module.weight"), names.get("alpha")
    if encoder is None or classifier is None or alpha is None or not classifier.ndim:
        raise CheckpointError(
            "these are not weights of the authors' RefineNet with ResNet-50, 101 or 152: "
            "layer3, clf_conv.module.weight or alpha is missing"
        )
    return NetworkConfig(
        encoder=encoder,
        classes=classifier.shape[0],
        modalities=("rgb", "depth")[: alpha.numel()],
        variant="released",
    )
