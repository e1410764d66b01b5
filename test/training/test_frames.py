"""Frames: what a buffer must hold, and the messages when it does not."""

import array

import numpy as np
import pytest

from asymfusion_ros.engine import RawImage
from asymfusion_ros.errors import ImageError


def test_a_buffer_is_not_copied():
    data = array.array("B", range(24))
    frame = RawImage.from_buffer(data, 2, 4, "rgb8", 12)
    assert frame.pixels().shape == (2, 4, 3)
    data[0] = 99
    assert frame.pixels()[0, 0].tolist() == [99, 1, 2]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: array.array("B", b)])
def test_any_buffer_will_do(kind):
    # two rows of two 16-bit pixels, one byte of padding a row, the last row without it
    raw = bytes([1, 2, 3, 4, 0xEE, 5, 6, 7, 8])
    little = RawImage.from_buffer(kind(raw), 2, 2, "16UC1", 5)
    assert little.pixels().tolist() == [[0x0201, 0x0403], [0x0605, 0x0807]]
    big = RawImage.from_buffer(kind(raw), 2, 2, "16UC1", 5, bigendian=True)
    assert big.pixels().tolist() == [[0x0102, 0x0304], [0x0506, 0x0708]]


@pytest.mark.parametrize(
    ("shape", "dtype", "encoding"),
    [
        ((2, 3, 3), "uint8", "rgb8"),
        ((2, 3, 4), "uint8", "rgba8"),
        ((2, 3), "uint8", "mono8"),
        ((2, 3, 1), "uint8", "mono8"),
        ((2, 3), "uint16", "16UC1"),
        ((2, 3), ">u2", "16UC1"),
        ((2, 3), "float32", "32FC1"),
        ((1, 3), ">f4", "32FC1"),
    ],
)
def test_an_array_says_its_encoding(shape, dtype, encoding):
    image = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    frame = RawImage.from_array(image)
    assert (frame.encoding, frame.height, frame.width) == (encoding, *shape[:2])
    assert frame.pixels().squeeze().tolist() == image.squeeze().tolist()


def test_views_of_arrays():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    for view in (image[:, ::-1], image[::2], image[:, 1:3], image.transpose(1, 0, 2)):
        assert (RawImage.from_array(view).pixels() == view).all()
    assert RawImage.from_array(image, "bgr8").encoding == "bgr8"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((bytes(100), 2, 2, "yuv422", 8), ["'yuv422'", "rgb8", "16UC1"]),
        ((bytes(100), 2, 2, "", 8), ["''", "rgb8"]),
        ((bytes(100), 0, 2, "rgb8", 6), ["2x0", "no pixels"]),
        ((b"", 0, 0, "rgb8", 0), ["0x0", "no pixels"]),
        ((bytes(100), 2, 0, "rgb8", 6), ["0x2", "no pixels"]),
        ((bytes(100), 2, -1, "rgb8", 6), ["-1x2", "no pixels"]),
        ((bytes(100), 2, 3, "rgb8", 8), ["step is 8", "3 rgb8 pixels", "9"]),
        ((bytes(100), 2, 3, "32FC1", 11), ["step is 11", "12"]),
        ((bytes(100), 2, 3, "rgb8", -9), ["step is -9", "9"]),
        ((bytes(18), 2, 3, "rgb8", 10), ["18 bytes", "10 x 2", "20", "cut short"]),
        ((b"", 2, 3, "rgb8", 9), ["0 bytes", "18", "cut short"]),
    ],
)
def test_what_a_buffer_cannot_hold_is_named(arguments, named):
    with pytest.raises(ImageError) as caught:
        RawImage.from_buffer(*arguments)
    for word in named:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_last_row_may_lack_its_padding_and_no_more():
    assert RawImage.from_buffer(bytes(10 + 9), 2, 3, "rgb8", 10).height == 2
    with pytest.raises(ImageError, match="18 bytes"):
        RawImage.from_buffer(bytes(10 + 8), 2, 3, "rgb8", 10)


@pytest.mark.parametrize(
    ("image", "encoding", "named"),
    [
        (np.zeros((2, 3), np.float64), None, r"float64 with shape \(2, 3\)"),
        (np.zeros((2, 3), np.int16), None, "int16"),
        (np.zeros((2, 3, 2), np.uint8), None, r"\(2, 3, 2\)"),
        (np.zeros((1, 2, 3, 3), np.uint8), None, r"\(1, 2, 3, 3\)"),
        (np.zeros(3, np.uint8), None, r"\(3,\)"),
        (np.zeros((0, 3, 3), np.uint8), None, "no pixels"),
        (np.zeros((2, 3, 3), np.float32), "rgb8", "float32 .* not rgb8: that is H x W x 3, uint8"),
        (np.zeros((2, 3), np.uint8), "rgb8", r"\(2, 3\) is not rgb8"),
        (np.zeros((2, 3), np.uint8), "16UC1", "uint8 .* not 16UC1: that is H x W or H x W x 1, uint16"),
        (np.zeros(3, np.uint8), "mono8", r"\(3,\) is not mono8"),
        (np.zeros((2, 3, 3), np.uint8), "hsv8", "'hsv8' is not supported"),
    ],
)
def test_arrays_that_are_no_image(image, encoding, named):
    with pytest.raises(ImageError, match=named):
        RawImage.from_array(image, encoding)
