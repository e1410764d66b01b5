"""Decoded images as the folder format stores them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.data.labels import BUILT_IN, VOID, LabelSet
from asymfusion_ros.data.modality import Modality

LARGEST = 65535  # of 16 bits


def stored_image(image: Tensor, modality: Modality, size: tuple[int, int]) -> npt.NDArray[Any]:
    """A decoded image, 1 x C x h x w in its physical unit -> ``size`` (height, width): H x W x 3 uint8 RGB of
    a colour, else H x W uint16 in steps of the modality's unit, 0 where nothing was measured.

    Resized as the network's input is: a colour bilinearly, anything else to the nearest pixel, so that no
    distance is a mean of two.
    """
    colour = modality.kind == "colour"
    if image.shape[-2:] != size:
        if colour:
            image = F.interpolate(image.float(), size, mode="bilinear", antialias=True).round().clamp(0, 255)
        else:
            image = F.interpolate(image.float(), size, mode="nearest-exact")
    if colour:
        return np.ascontiguousarray(image[0].to(torch.uint8).permute(1, 2, 0).cpu().numpy())
    values = torch.where(modality.valid(image), image.double() / modality.unit, 0.0)
    return values.round().clamp(0, LARGEST)[0, 0].cpu().numpy().astype(np.uint16)


def pre_label(
    labels: npt.NDArray[np.uint8], confidence: npt.NDArray[np.uint8], min_confidence: float
) -> npt.NDArray[np.uint8]:
    """H x W: the labels, VOID where the confidence (0 to 255) is below ``min_confidence`` (0 to 1)."""
    return np.where(confidence < min_confidence * 255, np.uint8(VOID), labels)


def description(name: str, labels: LabelSet, modalities: Mapping[str, Modality]) -> str:
    """The text of dataset.yaml."""
    built_in = labels.name in BUILT_IN and BUILT_IN[labels.name].names == labels.names
    values: dict[str, Any] = {"name": name, "labels": labels.name if built_in else list(labels.names)}
    depth = modalities.get("depth")
    if depth is not None:
        values["depth_scale"] = depth.unit
    values["void"] = VOID
    if set(modalities) != {"rgb", "depth"}:
        values["images"] = {
            one.name: {"kind": one.kind} | ({} if one.kind == "colour" else {"unit": one.unit})
            for one in modalities.values()
        }
    head = "# Made by `asymfusion label`: the labels are the network's own until they are corrected.\n"
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
