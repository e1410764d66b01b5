"""Label Studio's run-length code against a decoder that reads it bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from asymfusion_ros.labelling.brush_rle import decode, encode


def slowly_decoded(rle: list[int]) -> list[int]:
    """Every value of the stream, as thi.ng/rle-pack describes it."""
    bits = [byte >> (7 - place) & 1 for byte in rle for place in range(8)]
    at = 0

    def read(count: int) -> int:
        nonlocal at
        value = 0
        for _ in range(count):
            value = 2 * value + bits[at]
            at += 1
        return value

    total, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        same = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(word)] * length if same else [read(word) for _ in range(length)]
    return values


def packed(fields: list[tuple[int, int]]) -> list[int]:
    """(value, bits) one after another, as bytes."""
    text = "".join(f"{value:0{bits}b}" for value, bits in fields)
    text += "0" * (-len(text) % 8)
    return [int(text[at : at + 8], 2) for at in range(0, len(text), 8)]


def masks():
    rng = np.random.default_rng(3)
    yield np.zeros((4, 5), bool)
    yield np.ones((300, 300), bool)  # 360,000 equal values: more than one block holds
    yield rng.random((7, 9)) < 0.5
    yield rng.random((48, 64)).repeat(3, 1)[:, :64] < 0.2
    yield np.ones((1, 1), bool)
    yield np.ones((128, 128), bool)  # 65,536 equal values: exactly what a block holds


@pytest.mark.parametrize("mask", list(masks()), ids=lambda mask: f"{mask.shape}")
def test_both_ways(mask):
    rle = encode(mask)
    assert all(0 <= byte <= 255 for byte in rle)
    expected = np.repeat(np.where(mask, 255, 0).reshape(-1), 4)
    np.testing.assert_array_equal(slowly_decoded(rle), expected)
    np.testing.assert_array_equal(decode(rle, *mask.shape), mask)


def test_other_lengths_and_values_that_differ_within_a_block():
    head = [(8, 32), (7, 5), (1, 4), (3, 4), (5, 4), (7, 4)]  # lengths of 2, 4, 6 and 8 bits
    one_by_one = [(0, 1), (1, 2), (3, 4), *((value, 8) for value in (1, 2, 3, 0))]  # alpha 0
    alike = [(1, 1), (0, 2), (3, 2), (9, 8)]  # four of 9
    rle = packed([*head, *one_by_one, *alike])
    assert slowly_decoded(rle) == [1, 2, 3, 0, 9, 9, 9, 9]
    np.testing.assert_array_equal(decode(rle, 1, 2), [[False, True]])


@pytest.mark.parametrize(
    ("rle", "message"),
    [
        ([], "cut short"),
        (encode(np.ones((3, 3), bool)), "it has 36 values, but 4x3 pixels have 48"),
        (encode(np.eye(3, 4, dtype=bool))[:-3], "cut short"),
        ([0] * 10**5, "too many"),
        ([300], "range"),
        (packed([(48, 32), (15, 5), (0, 16)]), "16 bits"),
        (packed([(48, 32), (7, 5), (0xFFFF, 16), (1, 1), (3, 2), (0xFFFF, 16), (0, 8)]), "damaged"),
    ],
)
def test_what_is_wrong_is_refused(rle, message):
    with pytest.raises(ValueError, match=message):
        decode(rle, 3, 4)
