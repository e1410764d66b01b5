"""Which image topics another node subscribes to, and as which modality: asked of the graph."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rclpy.node import Node, NodeNameNonExistentError

from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.errors import ConfigError

IMAGE, COMPRESSED, DISPARITY = (
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
    "stereo_msgs/msg/DisparityImage",
)
# transport -> (its message type, the suffix of its topics), those that can be told apart first
TRANSPORTS: Mapping[str, tuple[str, str]] = {
    "compressedDepth": (COMPRESSED, "/compressedDepth"),
    "compressed": (COMPRESSED, "/compressed"),
    "disparity": (DISPARITY, ""),
    "raw": (IMAGE, ""),
}


def image_topics(node: Node, name: str) -> dict[str, tuple[str, str]]:
    """The image topic of each modality that the node called ``name`` (/segmentation) subscribes to, without
    its transport's suffix, and the transport; nothing where the graph knows no such node. ``node``: asks.

    Raises ConfigError where two topics may be of one modality.
    """
    namespace, _, last = name.rpartition("/")
    try:
        listed: Any = node.get_subscriber_names_and_types_by_node(last, namespace or "/")
    except NodeNameNonExistentError:
        return {}
    found: dict[str, tuple[str, str]] = {}
    for topic, types in listed:
        for transport, (kind, suffix) in TRANSPORTS.items():
            if kind not in types or not topic.endswith(suffix):
                continue
            base = topic.removesuffix(suffix)
            modality = modality_of(base, transport)
            if modality in found:
                raise ConfigError(
                    f"{name} subscribes to {found[modality][0]} and {base}, which may both be {modality}: "
                    "say with --rgb, --depth and --topic which are meant"
                )
            found[modality] = base, transport
            break
    return dict(sorted(found.items(), key=lambda item: list(KNOWN).index(item[0])))


def modality_of(topic: str, transport: str) -> str:
    """The known modality that an image topic's name speaks of; colour where it speaks of none."""
    if transport in ("compressedDepth", "disparity"):
        return "depth"
    words = set(re.split(r"[^a-z0-9]+", topic.lower()))
    return next((name for name in KNOWN if name != "rgb" and name in words), "rgb")
