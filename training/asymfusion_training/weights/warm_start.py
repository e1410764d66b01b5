"""Starting from a checkpoint of ours instead of ImageNet weights: fine-tuning."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import SegmentationNetwork
from asymfusion_ros.network.fusion.base import fusion_tensors
from asymfusion_ros.network.layers.norms import may_be_missing
from asymfusion_ros.network.layers.per_modality import owned

CLASSIFIER = re.compile(r"decoder\.(\d+\.)?classifier\.")


def start_from(network: SegmentationNetwork, labels: LabelSet, checkpoint: Checkpoint) -> str:
    """Fills the network with a checkpoint's weights; returns one line about what was taken.

    Modalities and classes are matched by their names: a modality that the checkpoint lacks starts with the
    norms (and convolutions and fusion, where they are individual) of its first one, a class that it lacks
    with a fresh classifier. Decoder and fusion start afresh where they are built otherwise. Raises UserError
    where the encoder is, or the convolutions are shared in one and individual in the other.
    """
    ours, theirs = network.config, checkpoint.config
    if ours.encoder != theirs.encoder:
        raise UserError(
            f"pretrained: the checkpoint has encoder {theirs.encoder}, but the recipe {ours.encoder}: "
            f"set network.encoder={theirs.encoder}, or pretrained: imagenet"
        )
    if ours.shared_convs != theirs.shared_convs:
        raise UserError(
            f"pretrained: the checkpoint has shared_convs={theirs.shared_convs}, but the recipe "
            f"{ours.shared_convs}: set network.shared_convs={str(theirs.shared_convs).lower()}, or "
            "pretrained: imagenet"
        )
    rows = [theirs.modalities.index(name) if name in theirs.modalities else 0 for name in ours.modalities]
    state = network.state_dict()
    fresh = set()
    source = (
        _alone(checkpoint) if len(ours.modalities) == 1 < len(theirs.modalities) else checkpoint.state_dict
    )
    places = owned(network)
    fusion = {f"encoder.{name}" for name in fusion_tensors(network.encoder)}
    for name, own in state.items():
        part = "fusion" if name in fusion else name.split(".")[0]
        found = source.get(_theirs(name, places, rows))
        if found is None:
            if not may_be_missing(name):
                fresh.add(part)
            continue
        found = found.to(own.dtype)
        if CLASSIFIER.match(name):
            state[name] = _by_class(own, found, labels, checkpoint.labels)
            continue
        tells = name not in places and part != "decoder" and own.ndim in (1, 2)
        if tells and len(found) == len(theirs.modalities) and len(own) == len(rows):
            found = found[rows]  # a private norm, or alpha
        if found.shape == own.shape:
            state[name] = found
        else:
            fresh.add(part)
    if "encoder" in fresh:
        raise UserError(
            "pretrained: the checkpoint's encoder has private_norms set otherwise than the recipe"
        )
    network.load_state_dict(state)
    known = sum(name in checkpoint.labels.names for name in labels.names)
    line = f"starts from a checkpoint that knows {known} of the {len(labels)} classes"
    return line + (f"; {', '.join(sorted(fresh))} built otherwise: in part afresh" if fresh else "")


def _theirs(name: str, places: dict[str, tuple[str, int, str]], rows: list[int]) -> str:
    """The checkpoint's name of a tensor: one that belongs to a modality has another index there."""
    if name not in places:
        return name
    container, modality, part = places[name]
    return f"{container}.{rows[modality]}.{part}"


def _alone(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The weights with the running statistics of a modality alone, where they are known."""
    source = dict(checkpoint.state_dict)
    for name in [name for name in source if name.endswith("alone_known")]:
        norm = name.removesuffix("alone_known")
        for kind in ("mean", "var"):
            alone, company = source[f"{norm}alone_{kind}"], source[f"{norm}running_{kind}"]
            source[f"{norm}running_{kind}"] = torch.where(source[name] > 0, alone, company)
    return source


def _by_class(own: Tensor, found: Tensor, labels: LabelSet, known: LabelSet) -> Tensor:
    """The classifier's weight or bias with the rows of those classes that the checkpoint has too."""
    if own.shape[1:] != found.shape[1:]:
        return own
    own = own.clone()
    for index, name in enumerate(labels.names):
        if name in known.names:
            own[index] = torch.as_tensor(found[known.names.index(name)])
    return own
