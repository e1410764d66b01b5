"""Malformed sensor_msgs/CompressedImage of image_transport's ``compressed``: JPEG and PNG."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
from encoders import encoded, with_size
from senders import packed, pixels

from .message import HARMLESS, NOT_READ, Malformed

# The sizes that a header promises -> what is said of them.
SIZES = {
    (60000, 60000): "that is more than",
    (30000, 4): "its longer side",
    (5000, 5000): "can't hold the 5000x5000",
    (0, 48): "it has no pixels",
}
JUNK = np.random.default_rng(7).bytes(4096)
DEPTH_FORMAT, COLOUR_FORMAT = "16UC1; png compressed ", "rgb8; {} compressed bgr8"


def compressed() -> Iterator[Malformed]:
    """Of rgb as JPEG and PNG, of depth as PNG."""
    for modality, codec in (("rgb", "jpeg"), ("rgb", "png"), ("depth", "png")):
        for name, data, says in _damaged(modality, codec):
            yield Malformed(f"{modality} {codec}: {name}", modality, partial(packed, data, _of(modality, codec)), says)  # noqa: E501  # fmt: skip
    for modality, codec in (("rgb", "jpeg"), ("depth", "png")):
        good, format = _good(modality, codec), _of(modality, codec)
        for name, data, other, says in (
            ("no bytes", b"", format, "the message has no data"),
            ("a single byte", b"\xff", format, "neither PNG nor JPEG"),
            ("junk", JUNK, format, "neither PNG nor JPEG"),
            ("a megabyte of zeros", bytes(1 << 20), format, "neither PNG nor JPEG"),
            ("TIFF", encoded(".tiff", pixels(modality)), format, "neither PNG nor JPEG"),
            ("no format", good, "", HARMLESS),
            ("an unknown format", good, "h264", HARMLESS),
            ("a format of a megabyte", good, "x" * (1 << 20), HARMLESS),
            ("compressedDepth's format", good, "16UC1; compressedDepth png", "set depth_image_transport"),
        ):
            yield Malformed(f"{modality}: {name}", modality, partial(packed, data, other), says)
    good, depth = _good("rgb", "jpeg"), _good("depth", "png")
    swapped = "is not a colour image"
    yield Malformed("rgb in depth's format", "rgb", partial(packed, good, DEPTH_FORMAT), swapped)
    yield Malformed("depth on the rgb topic", "rgb", partial(packed, depth, DEPTH_FORMAT), swapped)
    no_distances = "holds no distances"
    rgb = partial(packed, good, _of("rgb", "jpeg"))
    yield Malformed("rgb on the depth topic", "depth", rgb, no_distances)
    grey = encoded(".png", pixels("depth").astype(np.uint8))
    yield Malformed("depth of 8 bits", "depth", partial(packed, grey, DEPTH_FORMAT), no_distances)
    zeros = encoded(".png", np.zeros_like(pixels("depth")))
    yield Malformed("depth that is zero everywhere", "depth", partial(packed, zeros, DEPTH_FORMAT), HARMLESS)


def _damaged(modality: str, codec: str) -> Iterator[tuple[str, bytes, str]]:
    """(name, data, what is said)"""
    good = _good(modality, codec)
    end = 2 if codec == "jpeg" else 12
    yield "cut in its header", good[:20], "cut short"
    yield "cut in the middle", good[: len(good) // 2], "has no end"
    yield "without its end", good[:-end], "has no end"
    # Behind the header all is junk, but for the end.
    start = good.index(b"\xff\xda") + 14 if codec == "jpeg" else 41
    noisy = good[:start] + JUNK[: len(good) - end - start] + good[start + len(JUNK) : -end] + good[-end:]
    # A JPEG decoder makes something of any bits.
    yield "junk behind its header", noisy, HARMLESS if codec == "jpeg" else NOT_READ
    for (width, height), says in SIZES.items():
        yield f"a header of {width}x{height}", with_size(good, width, height), says
    height, width = pixels(modality).shape[:2]
    yield "a header of half its height", with_size(good, width, height // 2), HARMLESS
    # What is missing of a JPEG image is filled up.
    says = HARMLESS if codec == "jpeg" else NOT_READ
    yield "a header of twice its height", with_size(good, width, 2 * height), says
    yield "a megabyte behind its end", good + bytes(1 << 20), HARMLESS


@cache
def _good(modality: str, codec: str) -> bytes:
    return encoded(".jpg" if codec == "jpeg" else ".png", pixels(modality))


def _of(modality: str, codec: str) -> str:
    return DEPTH_FORMAT if modality == "depth" else COLOUR_FORMAT.format(codec)
