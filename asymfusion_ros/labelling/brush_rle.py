"""Label Studio's brush masks: the run-length code of thi.ng/rle-pack, over the RGBA values of each pixel.

A stream of bits, the highest first: 32 bits, how many values there are; 5 bits, the bits of a value less 1;
four times 4 bits, the bits of a length less 1, of which there are four kinds. Then blocks: 1 bit, whether all
values of the block are the same; 2 bits, the kind of its length; the length less 1; the value, or each one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

CHANNELS = 4  # of which the last tells where the region is
WORD = 8
LENGTHS = (3, 4, 8, 16)  # bits of a length
HEAD = 32 + 5 + 4 * 4


def encode(mask: npt.NDArray[np.bool_]) -> list[int]:
    """H x W bool -> bytes as a list, for JSON."""
    flat = mask.reshape(-1)
    pieces = [f"{flat.size * CHANNELS:032b}{WORD - 1:05b}", *(f"{bits - 1:04b}" for bits in LENGTHS)]
    edges = np.flatnonzero(np.diff(flat)) + 1
    starts = np.concatenate(([0], edges)).astype(np.int64)
    ends = np.concatenate((edges, [flat.size])).astype(np.int64)
    for start, end in zip(starts.tolist(), ends.tolist()):
        value, left = ("11111111" if flat[start] else "00000000"), (end - start) * CHANNELS
        while left:
            kind = next((k for k, bits in enumerate(LENGTHS) if left <= 1 << bits), len(LENGTHS) - 1)
            length = min(left, 1 << LENGTHS[kind])
            pieces.append(f"1{kind:02b}{length - 1:0{LENGTHS[kind]}b}{value}")
            left -= length
    bits = "".join(pieces)
    count = -(-len(bits) // 8)
    return list(int(bits.ljust(count * 8, "0"), 2).to_bytes(count, "big"))


def decode(rle: Sequence[int], height: int, width: int) -> npt.NDArray[np.bool_]:
    """The region's H x W. Raises ValueError for what is no such code of an image of this size."""
    values = height * width * CHANNELS
    if len(rle) > 2 * values + 64:
        raise ValueError(f"{len(rle)} bytes are too many for {width}x{height} pixels")
    try:
        data = bytes(rle)
    except TypeError as error:
        raise ValueError("it is no list of bytes") from error
    bits = f"{int.from_bytes(data, 'big'):0{max(1, len(data) * 8)}b}"
    if len(bits) < HEAD:
        raise ValueError("it is cut short")
    if int(bits[:32], 2) != values:
        raise ValueError(f"it has {int(bits[:32], 2)} values, but {width}x{height} pixels have {values}")
    if int(bits[32:37], 2) + 1 != WORD:
        raise ValueError(f"its values have {int(bits[32:37], 2) + 1} bits, not {WORD}")
    lengths = [int(bits[37 + 4 * kind : 41 + 4 * kind], 2) + 1 for kind in range(4)]
    out = np.zeros(values, np.uint8)
    at, done = HEAD, 0
    while done < values:
        size = lengths[int(bits[at + 1 : at + 3] or "0", 2)]
        begin = at + 3 + size
        same, length = bits[at : at + 1] == "1", int(bits[at + 3 : begin] or "0", 2) + 1
        at = begin + WORD * (1 if same else length)
        if at > len(bits) or done + length > values:
            raise ValueError("it is cut short, or damaged")
        if same:
            out[done : done + length] = int(bits[begin:at], 2)
        else:
            literal = int(bits[begin:at], 2).to_bytes(length, "big")
            out[done : done + length] = np.frombuffer(literal, np.uint8)
        done += length
    return out[CHANNELS - 1 :: CHANNELS].reshape(height, width) > 0
