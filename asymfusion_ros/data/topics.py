"""The node's relative topic for each modality, remapped as a camera needs it; read without torch or ROS."""

from __future__ import annotations

# depth_image_proc's names; another modality's topic is called after it.
TOPICS = {"rgb": "rgb/image_rect_color", "depth": "depth_registered/image_rect"}


def image_topic(modality: str) -> str:
    """``rgb/image_rect_color``, ``depth_registered/image_rect``, ``<name>/image_rect``."""
    return TOPICS.get(modality, f"{modality}/image_rect")
