"""Good images as cameras send them by each transport: the topic's suffix, the message type, the message."""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from encoders import compressed_depth, encoded
from node_harness import HEIGHT, IMAGES, WIDTH, header, image
from sensor_msgs.msg import CompressedImage, Image

from asymfusion_ros.data.topics import image_topic

FOCAL_LENGTH, BASELINE = 500.0, 0.12  # of the stereo camera: pixels, metres


@dataclass(frozen=True)
class Sender:
    """How a camera sends the images of one modality.

    topic: relative. load: gives the message type, which may not be installed. make: the message of a stamp
    (ns), a seed, and optionally a height and a width.
    """

    topic: str
    load: Callable[[], Any]
    make: Callable[..., Any]


def senders(settings: Mapping[str, Any]) -> dict[str, Sender]:
    """Those of rgb and depth, for a node with these parameters."""
    rgb = settings.get("image_transport", "raw")
    depth = settings.get("depth_image_transport", "raw")
    return {"rgb": SENDERS["rgb", rgb], "depth": SENDERS["depth", depth]}


def packed(data: bytes, format: str, stamp: int) -> CompressedImage:
    """A sensor_msgs/CompressedImage."""
    return CompressedImage(header=header(stamp), format=format, data=array.array("B", data))


def disparity_image(disparities: np.ndarray, stamp: int, **fields: Any) -> Any:
    """A stereo_msgs/DisparityImage of H x W float32 pixels."""
    fields = {"f": FOCAL_LENGTH, "t": BASELINE, "min_disparity": 0.5, "max_disparity": 128.0} | fields
    message = disparity_type()(header=header(stamp), **fields)
    message.image = image(disparities, "32FC1", stamp)
    return message


def disparity_type() -> Any:
    """Raises ModuleNotFoundError where stereo_msgs is not installed."""
    from stereo_msgs.msg import DisparityImage

    return DisparityImage


def pixels(name: str, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """What a good message shows; colour in OpenCV's order."""
    made = IMAGES[name][0](seed, height, width)
    return np.ascontiguousarray(made[..., ::-1]) if name == "rgb" else made


def _raw(name: str, stamp: int, *which: int) -> Image:
    make, encoding = IMAGES[name]
    return image(make(*which), encoding, stamp)


def _jpeg(stamp: int, *which: int) -> CompressedImage:
    return packed(encoded(".jpg", pixels("rgb", *which)), "rgb8; jpeg compressed bgr8", stamp)


def _png(stamp: int, *which: int) -> CompressedImage:
    return packed(encoded(".png", pixels("depth", *which)), "16UC1; png compressed ", stamp)


def _compressed_depth(codec: str, stamp: int, *which: int) -> CompressedImage:
    data = compressed_depth(pixels("depth", *which), codec)
    return packed(data, f"16UC1; compressedDepth {codec}", stamp)


def _disparity(stamp: int, *which: int) -> Any:
    metres = pixels("depth", *which) / 1000
    with np.errstate(divide="ignore"):
        found = np.where(metres == 0, -1, FOCAL_LENGTH * BASELINE / metres)
    return disparity_image(found.astype(np.float32), stamp)


def _sender(name: str, suffix: str, load: Callable[[], Any], make: Callable[..., Any]) -> Sender:
    return Sender(image_topic(name) + suffix, load, make)


# (modality, the node's parameter) -> what its camera sends
SENDERS: dict[tuple[str, str], Sender] = {
    ("rgb", "raw"): _sender("rgb", "", lambda: Image, partial(_raw, "rgb")),
    ("depth", "raw"): _sender("depth", "", lambda: Image, partial(_raw, "depth")),
    ("rgb", "compressed"): _sender("rgb", "/compressed", lambda: CompressedImage, _jpeg),
    ("depth", "compressed"): _sender("depth", "/compressed", lambda: CompressedImage, _png),
    ("depth", "compressedDepth"): _sender(
        "depth", "/compressedDepth", lambda: CompressedImage, partial(_compressed_depth, "png")
    ),
    ("depth", "disparity"): _sender("depth", "", disparity_type, _disparity),
}
# Of the same transport, another code.
make_rvl = partial(_compressed_depth, "rvl")
