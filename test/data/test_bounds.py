"""The sizes of images that are taken, and long texts in messages."""

import numpy as np
import pytest

from asymfusion_ros.data.bounds import MAX_ASPECT, MAX_PIXELS, check_encoded_size, check_size
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ImageError, shown


@pytest.mark.parametrize("size", [(1, 1), (7680, 4320), (2048, 64), (64, 2048), (8192, 4096), (3, 96)])
def test_sizes_of_cameras_and_lidars_are_taken(size):
    check_size(*size)


@pytest.mark.parametrize(
    "size, words",
    [
        ((0, 480), "0x480: it has no pixels"),
        ((640, -1), "640x-1: it has no pixels"),
        ((8192, 4097), "8192x4097: that is more than 33554432 pixels: set the camera"),
        ((2**32 - 1, 2**32 - 1), "more than 33554432 pixels"),
        ((1, 30000), "1x30000: its longer side is more than 32 times the shorter: crop"),
        ((307200, 1), "307200x1: its longer side"),
        ((97, 3), "97x3: its longer side"),
    ],
)
def test_other_sizes_are_refused_with_what_to_do(size, words):
    with pytest.raises(ImageError, match=words):
        check_size(*size)


def test_a_header_can_promise_only_what_its_bytes_can_hold():
    check_encoded_size(2048, 2048, 10)  # 2^22 pixels: all of one value, they may be a few bytes
    check_encoded_size(4096, 4096, 15253)  # x 1100 = 16778300, just above 4096 x 4096 = 16777216
    with pytest.raises(ImageError, match="15252 bytes can't hold the 4096x4096 pixels"):
        check_encoded_size(4096, 4096, 15252)
    with pytest.raises(ImageError, match="more than"):
        check_encoded_size(20000, 20000, 10**9)


def test_a_long_thin_image_is_refused_wherever_it_comes_from():
    with pytest.raises(ImageError, match="1x30000: its longer side"):
        RawImage.from_buffer(bytes(30000), 30000, 1, "mono8", 1)
    with pytest.raises(ImageError, match="307200x1: its longer side"):
        RawImage.from_array(np.zeros((1, 307200, 3), np.uint8))


def test_bounds_are_what_the_documents_say():
    assert (MAX_PIXELS, MAX_ASPECT) == (8192 * 4096, 32)


def test_a_long_text_is_shown_by_its_ends():
    assert shown("rgb9") == "'rgb9'"
    line = shown("a" * 10**6 + "z")
    assert len(line) < 120 and line.startswith("'aaa") and "z' (1000001 characters)" in line
    assert "\n" not in shown("a\nb")
