"""The labelled points of a frame, as the bytes of a sensor_msgs/PointCloud2."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

# A point's bytes in the machine's order, without gaps. rgb: the bytes 0, R, G, B of an integer, which PCL and
# RViz take for a float32. label: uint32, as pcl::PointXYZRGBL has it. confidence: 0 to 1.
POINT = np.dtype(
    [
        ("x", np.float32),
        ("y", np.float32),
        ("z", np.float32),
        ("rgb", np.float32),
        ("label", np.uint32),
        ("confidence", np.float32),
    ]
)
BYTE = np.float32(1 / 255)


def labelled_points(
    rays: Tensor, depth: Tensor, rgb: Tensor | None, labels: Tensor, confidence: Tensor
) -> Tensor:
    """H x W x 24 uint8 on the device, to be viewed as POINT: H x W points.

    rays: 3 x H x W float32: x, y and 1, or NaN where there is no ray. depth: H x W float32 metres; x, y and z
    are NaN where it is not above zero and finite, or there is no ray. rgb: 3 x H x W uint8, or None: black.
    labels, confidence: H x W uint8. All on the same device.
    """
    z = torch.where((depth > 0) & (depth < torch.inf), depth, torch.nan)
    if z.device.type == "cpu":
        return _on_host(rays, z, rgb, labels, confidence)
    return _on_device(rays, z, rgb, labels, confidence)


def _on_host(rays: Tensor, z: Tensor, rgb: Tensor | None, labels: Tensor, confidence: Tensor) -> Tensor:
    # NumPy writes into every sixth number several times faster than torch does.
    points = np.empty(z.shape, POINT)
    bytes_of = points.view(np.uint8).reshape(*z.shape, POINT.itemsize)
    distance = z.numpy()
    for name, ray in zip("xyz", rays.numpy(), strict=True):
        np.multiply(ray, distance, out=points[name])
    if rgb is None:
        points["rgb"] = 0
    else:
        red, green, blue = rgb.numpy()
        place = POINT.fields["rgb"][1]  # type: ignore[index]
        order = (blue, green, red, 0) if np.little_endian else (0, red, green, blue)
        for i, value in enumerate(order):
            bytes_of[..., place + i] = value
    points["label"] = labels.numpy()
    np.multiply(confidence.numpy(), BYTE, out=points["confidence"])
    return torch.from_numpy(bytes_of)


def _on_device(rays: Tensor, z: Tensor, rgb: Tensor | None, labels: Tensor, confidence: Tensor) -> Tensor:
    if rgb is None:
        packed = torch.zeros_like(labels, dtype=torch.int32)
    else:
        red, green, blue = rgb.to(torch.int32)
        packed = (red << 16) | (green << 8) | blue
    parts = [
        *(rays * z),
        packed.view(torch.float32),
        labels.to(torch.int32).view(torch.float32),
        confidence * float(BYTE),
    ]
    return torch.stack(parts, -1).view(torch.uint8)
