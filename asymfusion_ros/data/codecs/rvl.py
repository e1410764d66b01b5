"""RVL, a lossless code for depth images (Wilson, "Fast Lossless Depth Image Compression", 2017).

The pixels are runs of zeros and of other values in turn: how many zeros, how many others, then each of these
as its difference from the last one before it that was not zero. A number is written in 3 bits at a time, the
lowest first, each with a bit that says whether more follow; a signed one as 2d, or -2d - 1 where it is
negative. Four bits are a nibble; nibbles fill 32-bit words (little-endian) from their highest end.

Everything is done for all pixels at once but the walk from run to run, a loop over two numbers for each.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asymfusion_ros.errors import ImageError

MORE = 8  # the bit of a nibble that says that the number goes on
LONGEST = 10  # nibbles of a number: 30 bits count the pixels of any image
DAMAGED = "the RVL image does not decode: it is damaged or cut short"


def decode(data: memoryview, pixels: int) -> npt.NDArray[np.uint16]:
    """The first ``pixels`` values, flat. Raises ImageError where ``data`` doesn't hold exactly so many.

    Takes memory in proportion to ``data`` and ``pixels``.
    """
    # At most 6 nibbles a pixel, or one and two for a run of one: what lies behind is not of this image.
    numbers = _numbers(data[: 3 * pixels + 64])
    runs = _runs(numbers, pixels)
    lengths = numbers[runs]
    # A run of zeros, a run of others, ...: what is between the lengths are the others' differences.
    is_difference = np.ones(int(runs[-1]) + 1 + int(lengths[-1]), bool)
    is_difference[runs] = False
    coded = numbers[: is_difference.size][is_difference]
    # Sums wrap at 16 bits, as the encoder's differences do.
    values = np.cumsum((coded >> 1) ^ -(coded & 1)).astype(np.uint16)
    found = np.zeros(pixels, np.uint16)
    found[np.repeat(np.arange(runs.size) % 2 == 1, lengths)] = values
    return found


def _numbers(data: memoryview) -> npt.NDArray[np.int32]:
    """Every number in the data, in order; one that the end cuts off is left out."""
    whole = data[: data.nbytes - data.nbytes % 4]
    ordered = np.frombuffer(whole, "<u4").astype(">u4").view(np.uint8)
    nibbles = np.empty(2 * ordered.size, np.uint8)
    nibbles[0::2], nibbles[1::2] = ordered >> 4, ordered & 15
    last = np.flatnonzero(nibbles < MORE)
    if last.size == 0:
        raise ImageError(DAMAGED)
    first = np.empty_like(last)
    first[0], first[1:] = 0, last[:-1] + 1
    lengths = last - first
    if lengths.max() >= LONGEST:
        raise ImageError(DAMAGED)
    low = nibbles & (MORE - 1)
    numbers = low[first].astype(np.int32)
    # Few numbers are long: each round only looks at those that go on.
    going_on = np.flatnonzero(lengths)
    place = 1
    while going_on.size:
        numbers[going_on] |= low[first[going_on] + place].astype(np.int32) << (3 * place)
        place += 1
        going_on = going_on[lengths[going_on] >= place]
    return numbers


def _runs(numbers: npt.NDArray[np.int32], pixels: int) -> npt.NDArray[np.int64]:
    """Where among the numbers the lengths of runs are; all runs together have ``pixels``."""
    places: list[int] = []
    place, left, end = 0, pixels, numbers.size
    at = numbers.data  # twice as fast as asking numpy for one number at a time
    while left > 0:
        if place + 1 >= end:
            raise ImageError(DAMAGED)
        zeros, others = at[place], at[place + 1]
        places += (place, place + 1)
        left -= zeros + others
        place += 2 + others
    if left < 0 or place > end:
        raise ImageError(DAMAGED)
    return np.array(places, np.int64)
