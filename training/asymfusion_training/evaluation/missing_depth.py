"""Depth with a stated share of it missing, as a robot's sensor gives it."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import numpy.typing as npt

BLOB = 24  # pixels between the knots of the noise: blobs of about that size
STEP = 0.05  # a jump of more than this share of the depth is the edge of a surface
EDGE_BONUS = 1.5  # standard deviations of the noise: how much sooner a pixel near such an edge is lost


def with_missing(
    depth: npt.NDArray[np.float32], share: float, seed: int, name: str
) -> npt.NDArray[np.float32]:
    """H x W metres (0: none) -> the same with ``share`` (0 to 1) of its valid pixels set to 0.

    What goes is blobs, and bands along the edges of surfaces. It depends on ``seed`` and the frame's
    ``name`` only, so that two networks lose the same pixels.
    """
    valid = depth > 0
    lost = round(share * int(valid.sum()))
    if not lost:
        return depth
    rng = np.random.default_rng((seed, zlib.crc32(name.encode())))
    height, width = depth.shape
    knots = rng.standard_normal((height // BLOB + 2, width // BLOB + 2)).astype(np.float32)
    likely = cv2.resize(knots, (width, height), interpolation=cv2.INTER_CUBIC)
    jumps = cv2.morphologyEx(depth, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > STEP * depth
    bands = cv2.dilate(jumps.astype(np.uint8), np.ones((5, 5), np.uint8))
    likely = likely + np.float32(EDGE_BONUS) * bands
    order = np.argsort(-likely[valid], kind="stable")
    holes = np.flatnonzero(valid)[order[:lost]]
    left = depth.copy()
    left.flat[holes] = 0
    return left
