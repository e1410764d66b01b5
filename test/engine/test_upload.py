"""Camera bytes to tensors: the same as a plain numpy decoding, for every encoding and layout."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.engine import RawImage
from asymfusion_ros.engine.upload import Uploader
from asymfusion_ros.errors import ImageError

upload = Uploader(torch.device("cpu"))
SIDES = st.integers(1, 9)
PADDINGS = st.integers(0, 7)


def random_bytes(count, seed):
    return np.random.default_rng(seed).integers(0, 256, count, dtype=np.uint8).tobytes()


def buffer_of(height, row, padding, seed, whole):
    """Random bytes of rows with padding; the last row's may be missing."""
    step = row + padding
    return random_bytes(step * height if whole else step * (height - 1) + row, seed), step


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from(["rgb8", "bgr8", "rgba8", "bgra8", "mono8"]),
    height=SIDES,
    width=SIDES,
    padding=PADDINGS,
    whole=st.booleans(),
)
def test_colour(encoding, height, width, padding, whole):
    order = {"rgb8": "rgb", "bgr8": "bgr", "rgba8": "rgba", "bgra8": "bgra", "mono8": "m"}[encoding]
    data, step = buffer_of(height, width * len(order), padding, height * width, whole)
    image = RawImage.from_buffer(data, height, width, encoding, step)
    decoded = KNOWN["rgb"].decode(upload(image), image)
    assert decoded.shape == (1, 3, height, width)
    assert decoded.dtype == torch.uint8
    for y in range(height):
        for x in range(width):
            pixel = dict(zip(order, data[y * step + x * len(order) :]))
            expected = [pixel.get(name, pixel.get("m")) for name in "rgb"]
            assert decoded[0, :, y, x].tolist() == expected


@settings(max_examples=60, deadline=None)
@given(
    encoding=st.sampled_from(["16UC1", "mono16", "32FC1"]),
    bigendian=st.booleans(),
    height=SIDES,
    width=SIDES,
    padding=PADDINGS,
    whole=st.booleans(),
)
def test_depth(encoding, bigendian, height, width, padding, whole):
    kind = "f4" if encoding == "32FC1" else "u2"
    dtype = np.dtype((">" if bigendian else "<") + kind)
    data, step = buffer_of(height, width * dtype.itemsize, padding, height + width, whole)
    image = RawImage.from_buffer(data, height, width, encoding, step, bigendian)
    decoded = KNOWN["depth"].decode(upload(image), image)
    assert decoded.shape == (1, 1, height, width)
    assert decoded.dtype == torch.float32
    rows = [np.frombuffer(data, dtype, width, y * step) for y in range(height)]
    expected = np.stack(rows).astype(np.float32)
    if kind == "u2":
        expected = expected * np.float32(0.001)
    np.testing.assert_array_equal(decoded[0, 0].numpy(), expected)


def test_depth_by_hand():
    # 256 mm as little-endian bytes 00 01, 65535 mm, and 0, which stays 0
    image = RawImage.from_buffer(bytes([0, 1, 0xFF, 0xFF, 0, 0]), 1, 3, "16UC1", 6)
    metres = KNOWN["depth"].decode(upload(image), image)
    assert metres.flatten().tolist() == pytest.approx([0.256, 65.535, 0.0])


@pytest.mark.parametrize("offset", [1, 2, 3])
def test_a_buffer_may_begin_at_any_address(offset):
    metres = np.array([[1.5, np.nan], [-2.0, np.inf]], np.float32)
    memory = bytearray(offset) + bytearray(metres.tobytes())
    image = RawImage.from_buffer(memoryview(memory)[offset:], 2, 2, "32FC1", 8)
    np.testing.assert_array_equal(KNOWN["depth"].decode(upload(image), image)[0, 0].numpy(), metres)


def test_a_image_is_left_as_it_was():
    data = bytearray(range(48))
    image = RawImage.from_buffer(data, 4, 4, "bgr8", 12)
    KNOWN["rgb"].decode(upload(image), image)
    assert data == bytearray(range(48))


def test_images_on_the_wrong_input_are_named():
    colour, depth = (
        RawImage.from_array(np.zeros((2, 2, 3), np.uint8)),
        RawImage.from_array(np.zeros((2, 2), np.uint16)),
    )
    with pytest.raises(ImageError, match="'16UC1' is not that of a colour image \\(rgb\\): use one of rgb8"):
        KNOWN["rgb"].decode(upload(depth), depth)
    with pytest.raises(ImageError, match="'rgb8' is not that of a range image \\(depth\\): use one of 16UC1"):
        KNOWN["depth"].decode(upload(colour), colour)


@pytest.mark.parametrize(
    ("encoding", "data", "expected"),
    [
        ("mono8", bytes([0, 7]), [0.0, 0.07]),
        ("mono16", bytes([1, 0, 0, 1]), [0.01, 2.56]),
        ("32FC1", np.array([295.5, np.nan], "<f4").tobytes(), [295.5, np.nan]),
    ],
)
def test_a_scalar_counts_integers_in_its_unit_and_takes_floats_as_they_are(encoding, data, expected):
    image = RawImage.from_buffer(data, 1, 2, encoding, len(data))
    decoded = KNOWN["thermal"].decode(upload(image), image)  # in steps of 0.01 K
    np.testing.assert_allclose(decoded.flatten().numpy(), np.array(expected, np.float32), rtol=1e-6)
    valid = KNOWN["thermal"].valid(decoded).flatten()
    assert valid.tolist() == [bool(np.isfinite(value)) for value in expected]
