"""Malformed sensor_msgs/CompressedImage of image_transport's ``compressedDepth``: PNG and RVL."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial

import numpy as np
from encoders import compressed_depth as encoded_depth
from encoders import encoded, rvl, with_size
from senders import packed, pixels

from .encoded import JUNK, SIZES
from .message import HARMLESS, NOT_READ, Malformed

CONFIG, SIZE = 12, 8  # bytes of the header, and of RVL's own
FORMAT = "16UC1; compressedDepth {}"


def compressed_depth() -> Iterator[Malformed]:
    """Of both codecs; rgb comes as JPEG."""
    for codec in ("png", "rvl"):
        good, format = encoded_depth(pixels("depth"), codec), FORMAT.format(codec)
        for name, data, says in _damaged(codec, good):
            yield Malformed(f"{codec}: {name}", "depth", partial(packed, data, format), says)
        foreign = "is not compressedDepth's"
        for name, other, says in (
            ("no format", "", foreign),
            ("the format of a JPEG", "rgb8; jpeg compressed bgr8", foreign),
            ("a format of a megabyte", "x" * (1 << 20), foreign),
            ("an unknown codec", FORMAT.format("zstd"), "names the codec"),
            ("the other codec's format", FORMAT.format("rvl" if codec == "png" else "png"),
             "that is more than" if codec == "png" else "is not PNG"),
        ):  # fmt: skip
            yield Malformed(f"{codec}: {name}", "depth", partial(packed, good, other), says)
        floats = encoded_depth(pixels("depth").astype(np.float32) / 1000, codec)
        for name, a in {"NaN": np.nan, "infinity": np.inf, "-1": -1.0}.items():
            data = floats[:4] + struct.pack("<f", a) + floats[8:]
            make = partial(packed, data, f"32FC1; compressedDepth {codec}")
            yield Malformed(f"{codec}: {name} as quantisation", "depth", make, "the quantisation of 32FC1")


def _damaged(codec: str, good: bytes) -> Iterator[tuple[str, bytes, str]]:
    """(name, data, what is said)"""
    yield "no bytes", b"", "no image is left behind its header"
    yield "nothing behind the header", good[:CONFIG], "no image is left behind its header"
    yield "junk", JUNK, "is not PNG" if codec == "png" else "image skipped"
    yield "cut in its own header", good[: CONFIG + 7], "is not PNG" if codec == "png" else "no whole header"
    middle = CONFIG + (len(good) - CONFIG) // 2
    yield "cut in the middle", good[:middle], "has no end" if codec == "png" else NOT_READ
    config, image = good[:CONFIG], good[CONFIG:]
    height, width = pixels("depth").shape
    if codec == "png":
        yield "junk behind its own header", config + image[:41] + JUNK[: len(image) - 53] + image[-12:], NOT_READ  # noqa: E501  # fmt: skip
        eight_bits = encoded(".png", pixels("depth").astype(np.uint8))
        yield "8 bits", config + eight_bits, "1 x 16 bits are needed"
        for (w, h), says in SIZES.items():
            yield f"a header of {w}x{h}", config + with_size(image, w, h), says
        yield "a header of half its height", config + with_size(image, width, height // 2), HARMLESS
        yield "a header of twice its height", config + with_size(image, width, 2 * height), NOT_READ
        return
    numbers = image[SIZE:]
    yield "junk behind its own header", config + image[:SIZE] + JUNK, NOT_READ
    yield "numbers without an end", config + image[:SIZE] + b"\xff" * 4096, NOT_READ
    for (w, h), says in SIZES.items():
        yield f"a header of {w}x{h}", config + struct.pack("<II", w, h) + numbers, says
    yield "a header of half its height", config + struct.pack("<II", width, height // 2) + numbers, NOT_READ
    yield "a header of twice its height", config + struct.pack("<II", width, 2 * height) + numbers, NOT_READ
    # As many pixels as so few bytes may promise: 8 MiB of depth.
    bomb = struct.pack("<II", 2048, 2048) + _one_run(2048 * 2048)
    yield "four million zeros in 20 bytes", config + bomb, HARMLESS
    yield (
        "eight rows more than its size",
        config + image[:SIZE] + rvl(pixels("depth", 0, height + 8)),
        NOT_READ,
    )


def _one_run(zeros: int) -> bytes:
    """RVL of zeros alone: their number, and that of the others, 0."""
    nibbles = []
    while zeros:
        zeros, low = zeros >> 3, zeros & 7
        nibbles.append(low | (8 if zeros else 0))
    nibbles += [0] * (-(len(nibbles) + 1) % 8 + 1)
    words = ["".join(f"{nibble:x}" for nibble in nibbles[k : k + 8]) for k in range(0, len(nibbles), 8)]
    return b"".join(bytes.fromhex(word)[::-1] for word in words)
