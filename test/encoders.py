"""What cameras' drivers send through image_transport: its compressed and compressedDepth messages, made from
the description of their formats and independently of the decoders."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np


def encoded(extension: str, pixels: np.ndarray, *options: int) -> bytes:
    """A whole PNG or JPEG image of pixels in OpenCV's order."""
    done, data = cv2.imencode(extension, pixels, list(options))
    assert done
    return data.tobytes()


def rvl(values: np.ndarray) -> bytes:
    """RVL of uint16 values, one number after another as in the paper."""
    nibbles: list[int] = []

    def write(number: int) -> None:
        while True:
            low, number = number & 7, number >> 3
            nibbles.append(low | (8 if number else 0))
            if not number:
                return

    flat = [int(value) for value in values.reshape(-1)]
    at, previous = 0, 0
    while at < len(flat):
        start = at
        while at < len(flat) and flat[at] == 0:
            at += 1
        write(at - start)
        start = at
        while at < len(flat) and flat[at] != 0:
            at += 1
        write(at - start)
        for value in flat[start:at]:
            delta, previous = value - previous, value
            write(2 * delta if delta >= 0 else -2 * delta - 1)
    nibbles += [0] * (-len(nibbles) % 8)
    words = []
    for first in range(0, len(nibbles), 8):
        word = 0
        for nibble in nibbles[first : first + 8]:
            word = word << 4 | nibble
        words.append(word)
    return struct.pack(f"<{len(words)}I", *words)


def compressed_depth(
    depth: np.ndarray, codec: str = "png", depth_max: float = 10.0, quantization: float = 100.0
) -> bytes:
    """The data of a compressedDepth message of H x W uint16 millimetres or float32 metres.

    As image_transport's publisher: farther than ``depth_max`` is 0, and floats are stored as inverse depth.
    """
    if depth.dtype == np.uint16:
        a = b = 0.0
        stored = np.where(depth > depth_max * 1000, 0, depth).astype(np.uint16)
    else:
        a = quantization * (quantization + 1)
        b = 1 - a / depth_max
        with np.errstate(invalid="ignore", divide="ignore"):
            near = depth < depth_max  # False for NaN
            stored = np.where(near, np.floor(a / depth.astype(np.float64) + b), 0).astype(np.uint16)
    config = struct.pack("<iff", 0, a, b)
    if codec == "png":
        return config + encoded(".png", stored)
    height, width = stored.shape
    return config + struct.pack("<II", width, height) + rvl(stored)


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A PNG or JPEG image whose header promises another size than it has; the checksum is right."""
    if data.startswith(b"\x89PNG"):
        start = data[12:16] + struct.pack(">II", width, height) + data[24:29]
        return data[:12] + start + struct.pack(">I", zlib.crc32(start)) + data[33:]
    at = data.index(b"\xff\xc0")
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]
